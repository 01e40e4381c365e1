//! HTTP for people, tools and the operator.

mod routes;

pub(super) use routes::router;
