//! The store's own doors: how it stands, adoption, release, backup.

use std::path::PathBuf;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, ok};
use super::{App, Door};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptBody {
    pub by: String,
    /// Though something has not been looked for.
    #[serde(default)]
    pub unseen: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    pub by: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupBody {
    pub to: PathBuf,
}

pub async fn standing(State(app): State<App>) -> Answer {
    ok(&app.service.store_view().await?)
}

pub async fn adopt(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Json(body): Json<AdoptBody>,
) -> Answer {
    ok(&app
        .service
        .adopt(&body.by, body.unseen, door.from())
        .await?)
}

pub async fn release(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Json(body): Json<ReleaseBody>,
) -> Answer {
    ok(&app.service.release_held(&body.by, door.from()).await?)
}

pub async fn backup(State(app): State<App>, Json(body): Json<BackupBody>) -> Answer {
    ok(&app.service.backup(body.to).await?)
}
