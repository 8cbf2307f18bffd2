"""Rebuilds the google provider's schema from the wheel of its Python bindings, where there is no registry.

    python -m tests.deploy.offline.wheel_schema        # writes google_schema.json beside this file

The wheel (``cdktn-provider-google``) holds JavaScript that was generated from ``terraform providers schema``:
of each attribute whether it is required, optional or computed, and its type; of each block whether it comes
once or often. It tells no enums, no defaults, and not what excludes what. What ``terraform/`` uses is kept.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[3]
TERRAFORM: Final = ROOT / "terraform"
SCHEMA: Final = Path(__file__).parent / "google_schema.json"
WHEEL: Final = "cdktn-provider-google==21.1.0"
DIGEST: Final = "157dead5025d5db5abe48e40cc49f0b6a4d8088fd0498eb17ad5a36bca811b2a"
"""What PyPI says of the wheel; pip refuses another one."""

_CLASS: Final = re.compile(r"^class (\w+) extends cdk(?:tf|tn)\.(\w+) \{", re.MULTILINE)
_MEMBER: Final = re.compile(
    r"^    // (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n", re.MULTILINE
)
_ENTRY: Final = re.compile(
    r"^\s+\"?(\w+)\"?: \{\n\s+value: .*,\n\s+isBlock: (\w+),\n"
    r"\s+type: \"(\w+)\",\n\s+storageClassType: \"(\w+)\",",
    re.MULTILINE,
)
_MAPS: Final = {"StringMap": "string", "BooleanMap": "bool", "NumberMap": "number", "AnyMap": "string"}
_PLAIN: Final = {"String": "string", "Number": "number", "Boolean": "bool"}
_STORED: Final = {"string": "string", "number": "number", "boolean": "bool", "stringMap": ["map", "string"]}
_TOP: Final = ("TerraformResource", "TerraformDataSource", "TerraformProvider")
Schema = dict[str, Any]


@dataclass(frozen=True)
class Module:
    """One JavaScript module: its source, and the classes in it as (base class, body)."""

    source: str
    classes: dict[str, tuple[str, str]]

    @classmethod
    def of(cls, source: str) -> Module:
        """Cut a module into its classes."""
        source = source.partition("//# sourceMappingURL")[0]
        found = list(_CLASS.finditer(source))
        ends = [*(match.start() for match in found[1:]), len(source)][: len(found)]
        bodies = {
            match[1]: (match[2], source[match.end() : end]) for match, end in zip(found, ends, strict=True)
        }
        return cls(source, bodies)

    def block(self, name: str) -> Schema:
        """Return the schema of a class: its attributes and nested blocks."""
        kind, body = self.classes[name]
        entries = self._entries(name, kind)
        schema: Schema = {"attributes": {}, "block_types": {}}
        parts = _MEMBER.split(body)
        for at in range(1, len(parts), 5):
            field, computed, optional, required = (
                parts[at],
                *(flag == "true" for flag in parts[at + 1 : at + 4]),
            )
            flags = {"computed": computed, "optional": optional, "required": required}
            is_block, type_, stored = entries.get(field, (False, "", ""))
            nested = re.search(r"= new (\w+)\(this, [\"'](\w+)[\"']", parts[at + 4])
            if nested is None or nested[1] not in self.classes:
                schema["attributes"][field] = {"type": _type(parts[at + 4], type_, stored), **flags}
                continue
            inner, once = self._nested(nested[1])
            if is_block:
                schema["block_types"][field] = _block_type(inner, type_, once=once, required=required)
            else:
                members = {key: value["type"] for key, value in inner["attributes"].items()}
                outer = "set" if type_ == "set" else "list"
                schema["attributes"][field] = {"type": [outer, ["object", members]], **flags}
        return schema

    def _nested(self, name: str) -> tuple[Schema, bool]:
        """Return the schema of a nested class, and whether it comes once."""
        often = self.classes[name][0] in ("ComplexList", "ComplexMap")
        stem = name.removesuffix("List").removesuffix("Map")
        return self.block(f"{stem}OutputReference" if often else name), not often

    def _entries(self, name: str, kind: str) -> dict[str, tuple[bool, str, str]]:
        """Return by field whether it is a block, its type and how it is stored."""
        stem = name.removesuffix("OutputReference")
        mark = (
            "synthesizeHclAttributes() {"
            if kind in _TOP
            else f"function {stem[0].lower()}{stem[1:]}ToHclTerraform(struct) {{"
        )
        start = self.source.find(mark)
        if start < 0:
            return {}
        end = self.source.find("Object.fromEntries", start)
        return {
            match[1]: (match[2] == "true", match[3], match[4])
            for match in _ENTRY.finditer(self.source, start, end)
        }


def _type(text: str, type_: str, stored: str) -> Any:
    getter = re.search(r"this\.get(\w+?)Attribute\(", text)
    made = re.search(r"new cdk\w+\.(\w+)\(this", text)
    name = getter[1] if getter else made[1] if made else ""
    if name in _MAPS:
        return ["map", _MAPS[name]]
    if name in _PLAIN:
        return _PLAIN[name]
    element = "number" if name == "NumberList" else "string"
    if type_ == "set" or "Fn.tolist" in text:
        return ["set", element]
    if name in ("List", "NumberList"):
        return ["list", element]
    return _STORED.get(stored, ["list", "string"])


def _block_type(inner: Schema, type_: str, *, once: bool, required: bool) -> Schema:
    mode = {"struct": "single"}.get(type_, type_ or "list")
    if mode == "single":
        return {"nesting_mode": mode, "block": inner}
    limits = ({"max_items": 1} if once else {}) | ({"min_items": 1} if required else {})
    return {"nesting_mode": mode, "block": inner, **limits}


def schema_of(wheel: Path, wanted: set[str]) -> Schema:
    """Return the schema of the provider and of those resources and data sources that are wanted."""
    with zipfile.ZipFile(wheel) as opened:
        [packed] = [name for name in opened.namelist() if name.endswith(".jsii.tgz")]
        package = tarfile.open(fileobj=io.BytesIO(opened.read(packed)))  # noqa: SIM115 - in memory
    schema: Schema = {"resources": {}, "data": {}}
    kinds = {"TerraformResource": "resources", "TerraformDataSource": "data"}
    for member in package:
        file = package.extractfile(member)
        if file is None:
            continue
        if member.name == "package/package.json":
            told = json.load(file)
            schema["version"] = (told.get("cdktn") or told["cdktf"])["provider"]["version"]
        elif member.name.startswith("package/lib/") and member.name.endswith("/index.js"):
            module = Module.of(file.read().decode())
            for name, (base, body) in module.classes.items():
                type_ = re.search(r'tfResourceType = "(\w+)"', body)
                if base == "TerraformProvider":
                    schema["provider"] = module.block(name)
                elif base in kinds and type_ and f"{kinds[base]}.{type_[1]}" in wanted:
                    schema[kinds[base]][type_[1]] = module.block(name)
    return schema


def used() -> set[str]:
    """Return what ``terraform/`` declares, as ``resources.TYPE`` and ``data.TYPE``."""
    kinds = {"resource": "resources", "data": "data"}
    return {
        f"{kinds[match[1]]}.{match[2]}"
        for file in TERRAFORM.glob("*.tf")
        for match in re.finditer(r'^(resource|data) "(google_\w+)"', file.read_text("utf-8"), re.MULTILINE)
    }


def download(folder: Path) -> Path:
    """Fetch the wheel from PyPI (67 MB), by its digest."""
    wanted = folder / "wheel.txt"
    wanted.write_text(f"{WHEEL} --hash=sha256:{DIGEST}\n", "utf-8")
    command = [
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "-d",
        str(folder),
        "-r",
        str(wanted),
    ]
    subprocess.run([sys.executable, "-m", *command], check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def main() -> None:
    """Write the schema of what is used."""
    with tempfile.TemporaryDirectory() as folder:
        schema = schema_of(download(Path(folder)), used())
    SCHEMA.write_text(json.dumps(schema, sort_keys=True, indent=0) + "\n", "utf-8")


if __name__ == "__main__":
    main()
