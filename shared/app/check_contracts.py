"""Checking the registry against the nodes: each contract is there, and is what its file says."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.domain.abi import compile_function
from shared.errors import ChainUnavailable, UndecodableLog
from shared.ports import Call

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec, Registry
    from shared.ports import Chain

ERROR: Final = "error"
INFO: Final = "info"
_NO_HASH: Final = "0x" + "00" * 32
_NOBODY: Final = "0x" + "00" * 20


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong (``error``), or could not be told or looks odd (``info``), with one contract.

    ``contract`` is its key, ``problem`` a stable name, ``detail`` what was seen, ``fix`` what to do.
    """

    contract: str
    severity: str
    problem: str
    detail: str
    fix: str


def check_contracts(registry: Registry, chains: Mapping[int, Chain]) -> list[Finding]:
    """Check every contract of the registry; an empty list says that all is well.

    A node that cannot be reached, or that does not keep old state, is a finding, not an exception.
    """
    findings: list[Finding] = []
    for spec in registry.contracts:
        findings += _selector_collisions(spec)
        chain = chains.get(spec.chain_id)
        variable = f"PLUMBLINE_RPC_{spec.chain_id}"
        if chain is None:
            findings.append(
                _error(spec, "no_endpoint", f"chain {spec.chain_id} has no endpoint", f"set {variable}")
            )
            continue
        try:
            findings += _against_node(spec, chain)
        except ChainUnavailable as error:
            findings.append(_error(spec, "unreachable", str(error), f"check the node and {variable}"))
    return findings


def _error(spec: ContractSpec, problem: str, detail: str, fix: str) -> Finding:
    return Finding(spec.key, ERROR, problem, detail, fix)


def _selector_collisions(spec: ContractSpec) -> Iterator[Finding]:
    """Yield functions that calldata cannot tell apart: possible where the ABI joins several facets."""
    signatures: defaultdict[str, set[str]] = defaultdict(set)
    for entry in spec.abi:
        if entry.get("type") == "function":
            function = compile_function({**entry, "outputs": ()})
            signatures[function.selector].add(function.signature)
    for selector, names in sorted(signatures.items()):
        if len(names) > 1:
            detail = f"{' and '.join(sorted(names))} share the selector {selector}"
            fix = "take the function that the contract does not have out of the ABI file"
            yield _error(spec, "selector_collision", detail, fix)


def _against_node(spec: ContractSpec, chain: Chain) -> Iterator[Finding]:
    remote = chain.remote_chain_id()
    if remote != spec.chain_id:
        detail = f"the node is on chain {remote}, the file says {spec.chain_id}"
        yield _error(
            spec, "wrong_chain", detail, f"correct PLUMBLINE_RPC_{spec.chain_id}, or the file's chain_id"
        )
        return
    head = chain.head()
    if not chain.has_code(spec.address):
        detail = f"there is no code at {spec.address} in block {head.number}"
        yield _error(spec, "no_code", detail, "correct the file's address or chain_id")
        return
    yield from _deployment(spec, chain, head)
    yield from _finality(spec, chain)
    yield from _reads(spec, chain, head)
    yield from _version(spec, chain, head)


def _deployment(spec: ContractSpec, chain: Chain, head: Header) -> Iterator[Finding]:
    first = spec.deployment_block
    if first > head.number:
        detail = f"deployment_block {first} is above the chain's head {head.number}"
        yield _error(spec, "deployment_block", detail, "state the block that the contract was deployed in")
        return
    try:
        if not chain.has_code(spec.address, first):
            detail = f"there is no code yet in block {first}: a back-fill reads more than it must"
            yield _error(spec, "deployment_block", detail, "raise deployment_block to the deployment's block")
        elif first > 0 and chain.has_code(spec.address, first - 1):
            detail = f"there is code before block {first} already: earlier logs would be missed"
            yield _error(spec, "deployment_block", detail, "lower deployment_block to the deployment's block")
    except ChainUnavailable as error:
        detail = f"the node does not tell whether there was code in block {first}: {error}"
        yield Finding(
            spec.key, INFO, "deployment_block", detail, "ask an archive node, to have it checked too"
        )


def _finality(spec: ContractSpec, chain: Chain) -> Iterator[Finding]:
    if spec.finality.tag is None:
        return
    try:
        chain.head(spec.finality.tag)
    except ChainUnavailable as error:
        detail = f"the node does not know the block tag {spec.finality.tag}: {error}"
        yield _error(spec, "finality", detail, "give a depth in [finality], in blocks")


def _reads(spec: ContractSpec, chain: Chain, head: Header) -> Iterator[Finding]:
    reads = spec.reads
    asked: list[tuple[str, Any, bytes | None, Any]] = [
        ("state", reads.state, spec.state_call(_NO_HASH), spec.read_state),
        ("tokenised", reads.tokenised, spec.tokenised_call(_NO_HASH), spec.read_tokenised),
        ("level", reads.level, spec.level_call(_NOBODY), spec.read_level),
    ]
    known = [(key, function, call, read) for key, function, call, read in asked if call is not None]
    answers = chain.call_many([Call(spec.address, call) for _, _, call, _ in known], head.hash)
    for (key, function, _, read), answer in zip(known, answers, strict=True):
        trouble = f"{function.signature} reverted with 0x{answer.data.hex()}"
        if answer.ok:
            try:
                read(answer.data)
            except UndecodableLog as error:
                trouble = str(error)
            else:
                continue
        fix = f"name the right function under [reads] {key}, or correct the address"
        yield _error(spec, "read", f"asked about nothing, {trouble}", fix)


def _version(spec: ContractSpec, chain: Chain, head: Header) -> Iterator[Finding]:
    entries = [e for e in spec.abi if e.get("type") == "function" and e.get("name") == "version"]
    functions = [function for function in map(compile_function, entries) if not function.inputs.parts]
    if not functions or functions[0].outputs.spelling != "(string)":
        return
    answer = chain.call_many([Call(spec.address, functions[0].encode(()))], head.hash)[0]
    try:
        told = str(functions[0].decode_result(answer.data)[0]) if answer.ok else None
    except UndecodableLog:
        told = None
    if told is None:
        detail = "version() is in the ABI and gives no answer"
        yield _error(spec, "version", detail, "check that the ABI is this contract's")
    elif told != spec.version and not told.startswith(f"{spec.version}."):
        detail = f"the contract says version {told!r}, the file {spec.version!r}"
        yield Finding(spec.key, INFO, "version", detail, "check that the ABI is this version's")
