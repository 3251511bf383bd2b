//! The configuration's own door.

use axum::Extension;
use axum::Json;
use axum::extract::State;

use super::answer::{Answer, ok};
use super::api::ByBody;
use super::{App, Door};

pub async fn reload(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Json(body): Json<ByBody>,
) -> Answer {
    ok(&app.service.reload(&body.by, door.from()).await?)
}
