"""One folder per function: each decodes a request, calls one use case, and maps its errors."""
