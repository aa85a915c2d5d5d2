-- Every query of this transaction sees the same moment. Only as its first statement.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
