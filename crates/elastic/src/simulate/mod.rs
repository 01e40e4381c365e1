//! Replays a trace of demand against a policy.
