//! The doors while the store is not open yet: alive, not ready, and why.
//!
//! One gateway a door, listening from the first moment to the last. It hands every request to the full router once
//! there is one, so no connection is cut and no port given back when the daemon becomes ready.

use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use tower_service::Service as _;

use super::api;
use crate::service::opening::{AGAIN, Opening};

/// A door's way in.
#[derive(Debug, Clone)]
pub struct Gateway {
    opening: Arc<Opening>,
    full: Arc<OnceLock<Router>>,
}

impl Gateway {
    pub fn new(opening: Arc<Opening>) -> Self {
        Self {
            opening,
            full: Arc::default(),
        }
    }

    /// From now on this answers. A second call changes nothing.
    pub fn open(&self, router: Router) {
        let _already = self.full.set(router);
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(pass).with_state(self.clone())
    }
}

async fn pass(State(gateway): State<Gateway>, request: Request) -> Response {
    if let Some(router) = gateway.full.get() {
        let Ok(response) = router.clone().call(request).await;
        return response;
    }
    if request.uri().path() == "/healthz" {
        return api::healthz().await.into_response();
    }
    let mut response = (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(gateway.opening.view()),
    )
        .into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::RETRY_AFTER, HeaderValue::from(AGAIN.as_secs()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use chrono_tz::Asia::Shanghai;

    use super::*;

    async fn ask(router: &mut Router, path: &str) -> Response {
        let request = Request::builder().uri(path).body(Body::empty());
        let Ok(response) = router.call(request.expect("a request")).await;
        response
    }

    #[tokio::test]
    async fn before_it_is_open_it_is_alive_and_nothing_else_and_then_it_is_the_full_router() {
        let gateway = Gateway::new(Arc::new(Opening::new(Shanghai)));
        let mut router = gateway.router();
        assert_eq!(ask(&mut router, "/healthz").await.status(), 200);
        for path in ["/readyz", "/v1/items", "/", "/metrics", "/none"] {
            let refused = ask(&mut router, path).await;
            assert_eq!(refused.status(), 503, "{path}");
            let headers = refused.headers();
            assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(headers[header::RETRY_AFTER], "5");
        }
        gateway.open(Router::new().route("/v1/items", get(|| async { "full" })));
        assert_eq!(ask(&mut router, "/v1/items").await.status(), 200);
        assert_eq!(ask(&mut router, "/none").await.status(), 404);
    }
}
