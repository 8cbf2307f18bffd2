// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Escrow of retirement rollovers, for the laptop and the tests only.
/// @notice It has the outside of the product's contract (V6 behind the V5 names), not its guards: any
/// account may send any call. Never deploy it where money is. `senderRefId` is for readers of the
/// calldata; nothing is stored of it.
/// States: 0 None, 1 ReceiverAgreed, 2 SenderAgreed, 3 BothAgreed, 4 FinancialsProvided, 5 Executed,
/// 6 Minted, 7 Burned (passed through within one transaction), 8 Completed. Amounts are integer cents.
contract RolloverEscrow {
    struct FundSources {
        uint256 employeePreTax;
        uint256 employerMatch;
        uint256 roth;
        uint256 afterTax;
        uint256 gross;
        uint16 taxYear;
    }

    struct Transfer {
        uint8 state;
        bool senderAgreed;
        bool receiverAgreed;
        address custodianSender;
        address custodianReceiver;
        uint8 fromAccount;
        uint8 toAccount;
        uint256 grossAmount;
        uint256 federalTax;
        uint256 stateTax;
        uint64 createdAt;
        uint64 updatedAt;
    }

    event TransferAgreed(
        bytes32 indexed transferHash, address indexed custodian, bool isSender, uint256 timestamp
    );
    event FinancialDetailsProvided(
        bytes32 indexed transferHash,
        uint256 grossAmount,
        FundSources fundSources,
        uint256 federalTax,
        uint256 stateTax
    );
    event TransferExecuted(bytes32 indexed transferHash, uint256 grossAmount, uint256 timestamp);
    event TokensMinted(bytes32 indexed transferHash, uint256 amount, uint256 timestamp);
    event TokensBurned(bytes32 indexed transferHash, uint256 amount, uint256 timestamp);
    event TransferCompleted(bytes32 indexed transferHash, uint256 timestamp);

    /// @dev Where a call may start from two states, `expected` is the later one. A mint refused for the
    /// custodians' levels alone says InvalidState(5, 5): the state is right, the pair does not tokenise.
    error InvalidState(uint8 current, uint8 expected);
    /// @dev The custodian that has agreed on this side already.
    error AlreadyAgreed(address custodian);

    uint8 private constant NONE = 0;
    uint8 private constant RECEIVER_AGREED = 1;
    uint8 private constant SENDER_AGREED = 2;
    uint8 private constant BOTH_AGREED = 3;
    uint8 private constant FINANCIALS_PROVIDED = 4;
    uint8 private constant EXECUTED = 5;
    uint8 private constant MINTED = 6;
    uint8 private constant COMPLETED = 8;

    uint8 private constant SETTLES_ON_EXECUTION = 2;
    uint8 private constant TOKENISES = 3;

    mapping(bytes32 => Transfer) public transfers;
    mapping(address => uint8) public custodianLevels;

    /// @notice Open to any account: the laptop has no administrator.
    function setCustodianLevel(address custodian, uint8 level) external {
        custodianLevels[custodian] = level;
    }

    function agreeSend(
        bytes32 transferId,
        address custodianSender,
        address custodianReceiver,
        uint8 fromAccount,
        uint8 toAccount,
        string calldata senderRefId
    ) external {
        Transfer storage transfer = transfers[transferId];
        if (transfer.state > BOTH_AGREED) revert InvalidState(transfer.state, RECEIVER_AGREED);
        if (transfer.senderAgreed) revert AlreadyAgreed(transfer.custodianSender);
        _agree(transfer, custodianSender, custodianReceiver, fromAccount, toAccount);
        transfer.senderAgreed = true;
        transfer.state = transfer.receiverAgreed ? BOTH_AGREED : SENDER_AGREED;
        emit TransferAgreed(transferId, custodianSender, true, block.timestamp);
    }

    function agreeReceive(
        bytes32 transferId,
        address custodianSender,
        address custodianReceiver,
        uint8 fromAccount,
        uint8 toAccount,
        string calldata senderRefId
    ) external {
        Transfer storage transfer = transfers[transferId];
        if (transfer.state > BOTH_AGREED) revert InvalidState(transfer.state, SENDER_AGREED);
        if (transfer.receiverAgreed) revert AlreadyAgreed(transfer.custodianReceiver);
        _agree(transfer, custodianSender, custodianReceiver, fromAccount, toAccount);
        transfer.receiverAgreed = true;
        transfer.state = transfer.senderAgreed ? BOTH_AGREED : RECEIVER_AGREED;
        emit TransferAgreed(transferId, custodianReceiver, false, block.timestamp);
    }

    function provideFinancialDetails(
        bytes32 transferId,
        FundSources calldata fundSources,
        uint256 federalTax,
        uint256 stateTax
    ) external {
        Transfer storage transfer = _from(transferId, BOTH_AGREED);
        require(
            fundSources.employeePreTax + fundSources.employerMatch + fundSources.roth + fundSources.afterTax
                == fundSources.gross,
            "fund sources do not sum to gross"
        );
        transfer.grossAmount = fundSources.gross;
        transfer.federalTax = federalTax;
        transfer.stateTax = stateTax;
        _move(transfer, FINANCIALS_PROVIDED);
        emit FinancialDetailsProvided(transferId, fundSources.gross, fundSources, federalTax, stateTax);
    }

    /// @notice Both custodians at level 3: minted in this very transaction. Both at least 2: completed
    /// without a token. Otherwise the transfer stays executed.
    function executeTransfer(bytes32 transferId) external {
        Transfer storage transfer = _from(transferId, FINANCIALS_PROVIDED);
        _move(transfer, EXECUTED);
        emit TransferExecuted(transferId, transfer.grossAmount, block.timestamp);
        if (_bothAtLeast(transfer, TOKENISES)) {
            _mint(transferId, transfer);
        } else if (_bothAtLeast(transfer, SETTLES_ON_EXECUTION)) {
            _complete(transferId, transfer);
        }
    }

    function mintTokens(bytes32 transferId) external {
        Transfer storage transfer = _from(transferId, EXECUTED);
        if (!_bothAtLeast(transfer, TOKENISES)) revert InvalidState(EXECUTED, EXECUTED);
        _mint(transferId, transfer);
    }

    /// @notice What was minted can be burned, whatever the custodians' levels have become since.
    function burnTokens(bytes32 transferId) external {
        Transfer storage transfer = _from(transferId, MINTED);
        emit TokensBurned(transferId, transfer.grossAmount, block.timestamp);
        _complete(transferId, transfer);
    }

    function getTransferState(bytes32 transferId) external view returns (uint8) {
        return transfers[transferId].state;
    }

    function supportsTokenization(bytes32 transferId) external view returns (bool) {
        return _bothAtLeast(transfers[transferId], TOKENISES);
    }

    function version() external pure returns (string memory) {
        return "6.0.0";
    }

    function _agree(
        Transfer storage transfer,
        address custodianSender,
        address custodianReceiver,
        uint8 fromAccount,
        uint8 toAccount
    ) private {
        if (transfer.state == NONE) {
            transfer.custodianSender = custodianSender;
            transfer.custodianReceiver = custodianReceiver;
            transfer.fromAccount = fromAccount;
            transfer.toAccount = toAccount;
            transfer.createdAt = uint64(block.timestamp);
        } else {
            require(
                transfer.custodianSender == custodianSender
                    && transfer.custodianReceiver == custodianReceiver
                    && transfer.fromAccount == fromAccount && transfer.toAccount == toAccount,
                "the other side agreed to another transfer"
            );
        }
        transfer.updatedAt = uint64(block.timestamp);
    }

    function _mint(bytes32 transferId, Transfer storage transfer) private {
        _move(transfer, MINTED);
        emit TokensMinted(transferId, transfer.grossAmount, block.timestamp);
    }

    function _complete(bytes32 transferId, Transfer storage transfer) private {
        _move(transfer, COMPLETED);
        emit TransferCompleted(transferId, block.timestamp);
    }

    function _move(Transfer storage transfer, uint8 state) private {
        transfer.state = state;
        transfer.updatedAt = uint64(block.timestamp);
    }

    function _from(bytes32 transferId, uint8 expected) private view returns (Transfer storage transfer) {
        transfer = transfers[transferId];
        if (transfer.state != expected) revert InvalidState(transfer.state, expected);
    }

    function _bothAtLeast(Transfer storage transfer, uint8 level) private view returns (bool) {
        return custodianLevels[transfer.custodianSender] >= level
            && custodianLevels[transfer.custodianReceiver] >= level;
    }
}
