// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The one function of Multicall3 that reading needs, with its selector and encoding.
/// @notice Never deployed: where a chain has no Multicall3, its runtime code is lent to Multicall3's
/// address for the time of one eth_call, by state override.
contract Aggregate3 {
    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    /// @dev Only ever called by eth_call, so every subcall is static.
    function aggregate3(Call3[] calldata calls) external view returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool success, bytes memory returnData) = calls[i].target.staticcall(calls[i].callData);
            require(success || calls[i].allowFailure, "Multicall3: call failed");
            results[i] = Result(success, returnData);
        }
    }
}
