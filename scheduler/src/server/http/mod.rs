//! HTTP for people, tools and the operator. Start with `routes`.

mod answer;
mod auth;
mod cluster;
mod dashboard;
mod dask;
mod origin;
mod prometheus;
mod retire;
mod routes;
mod tasks;

pub(super) use routes::router;
