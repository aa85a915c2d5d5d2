SELECT head.lane, head.tenant, t.weight, head.rank, extract(epoch FROM ledger_now() - head.available_at) AS waited
FROM lane_head head JOIN tenant t ON t.id = head.tenant
ORDER BY head.rank;
