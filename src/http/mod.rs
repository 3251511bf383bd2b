//! The HTTP surface: version 1 of the interface, the read-only pages, health and metrics.
//!
//! One router, two doors. The unix socket is open to whoever the operating system lets at it, and
//! may do everything; the TCP door listens on loopback, wants the token, reads, and takes items in.
//! Deciding (signing, withdrawing, confirming, pausing) stays with the socket until there are
//! accounts of people to decide by.

mod answer;
pub mod api;
mod body;
pub mod config;
mod gate;
pub mod opening;
mod pages;
pub mod store;
pub mod verify;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::service::Service;

/// What handlers share.
#[derive(Clone)]
pub struct App {
    pub service: Arc<Service>,
    pub metrics: Option<PrometheusHandle>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

/// Which way a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Socket,
    Tcp,
}

impl Door {
    fn from(self) -> &'static str {
        match self {
            Self::Socket => "cli",
            Self::Tcp => "api",
        }
    }
}

/// Everything that the socket offers.
pub fn socket(app: App) -> Router {
    let limit = limit(&app);
    reading()
        .merge(taking(limit))
        .merge(deciding())
        .merge(open())
        .layer(middleware::from_fn(gate::told))
        .layer(axum::Extension(Door::Socket))
        .with_state(app)
}

/// What loopback offers to who has the token.
pub fn tcp(app: App) -> Router {
    let limit = limit(&app);
    let refused = deciding().layer(middleware::from_fn(gate::only_socket));
    let guarded = reading()
        .merge(taking(limit))
        .merge(refused)
        .layer(middleware::from_fn_with_state(app.clone(), gate::token));
    guarded
        .merge(open())
        .layer(middleware::from_fn(gate::told))
        .layer(middleware::from_fn(gate::headers))
        .layer(axum::Extension(Door::Tcp))
        .with_state(app)
}

/// Base64 makes three bytes four, and a form has its edges: what is too large for the desk but
/// not for this is told by the desk, file by file.
fn limit(app: &App) -> u64 {
    let most = app.service.config().intake.total_max_bytes;
    most + most / 3 + 1024 * 1024
}

fn reading() -> Router<App> {
    Router::new()
        .route("/v1/items", get(api::items))
        .route("/v1/items/{item}", get(api::item))
        .route("/v1/items/{item}/preview", get(api::preview))
        .route("/v1/deliveries", get(api::deliveries))
        .route("/v1/channels", get(api::channels))
        .route("/v1/sending", get(api::sending))
        .route("/v1/schedules", get(api::schedules))
        .route("/v1/store", get(store::standing))
        .route("/v1/findings", get(verify::findings))
        .route("/v1/verify", get(verify::standing))
        .route("/", get(pages::matrix))
        .route("/items/{item}", get(pages::timeline))
        .route("/assets/lubu.css", get(pages::style))
}

fn taking(limit: u64) -> Router<App> {
    Router::new()
        .route("/v1/items", post(api::submit))
        .route("/v1/items/{item}/revisions", post(api::revise))
        .layer(DefaultBodyLimit::max(
            usize::try_from(limit).unwrap_or(usize::MAX),
        ))
        .layer(middleware::from_fn_with_state(limit, gate::within))
}

fn deciding() -> Router<App> {
    Router::new()
        .route("/v1/items/{item}/approval", post(api::approve))
        .route("/v1/items/{item}/withdrawal", post(api::withdraw))
        .route("/v1/deliveries/{delivery}/retry", post(api::retry))
        .route("/v1/deliveries/{delivery}/confirm", post(api::confirm))
        .route("/v1/sending/stop", post(api::stop_sending))
        .route("/v1/sending/resume", post(api::resume_sending))
        .route("/v1/clock/confirm", post(api::confirm_clock))
        .route("/v1/store/adoption", post(store::adopt))
        .route("/v1/store/release", post(store::release))
        .route("/v1/store/backup", post(store::backup))
        .route("/v1/config/reload", post(config::reload))
        .route("/v1/verify", post(verify::order))
        .route("/v1/channels/check", post(api::check))
        .route("/v1/channels/{channel}/pause", post(api::pause))
        .route("/v1/channels/{channel}/resume", post(api::resume))
}

/// Nothing about content: whether it runs, and figures.
fn open() -> Router<App> {
    Router::new()
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .route("/metrics", get(api::metrics))
}
