// Compiles RolloverEscrow.sol to RolloverEscrow.json: {abi, bytecode, deployedBytecode, solc}.
// `node compile.mjs` writes the artefact beside the source; `node compile.mjs FILE` writes it to FILE.
// The same source and compiler give the same bytes: no metadata hash goes into the bytecode.
import { readFileSync, writeFileSync } from "node:fs";
import solc from "solc";

const NAME = "RolloverEscrow";
const source = new URL(`${NAME}.sol`, import.meta.url);
const target = process.argv[2] ?? new URL(`${NAME}.json`, import.meta.url);

const input = {
  language: "Solidity",
  sources: { [`${NAME}.sol`]: { content: readFileSync(source, "utf8") } },
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    viaIR: true,
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};

const output = JSON.parse(solc.compile(JSON.stringify(input)));
// 5667, unused parameter: senderRefId has a name in the ABI and no use on chain.
const complaints = (output.errors ?? []).filter((complaint) => complaint.errorCode !== "5667");
if (complaints.length > 0) {
  // Warnings count too: the artefact is committed, so its source is clean.
  process.stderr.write(complaints.map((complaint) => complaint.formattedMessage).join("\n"));
  process.exit(1);
}

const { abi, evm } = output.contracts[`${NAME}.sol`][NAME];
const artefact = {
  abi,
  bytecode: `0x${evm.bytecode.object}`,
  deployedBytecode: `0x${evm.deployedBytecode.object}`,
  solc: solc.version(),
};
writeFileSync(target, `${JSON.stringify(artefact, null, 2)}\n`);
