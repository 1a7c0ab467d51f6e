"""Words of the trade, without torch: shapes, slots, requests, plans, clips, poses, errors."""
