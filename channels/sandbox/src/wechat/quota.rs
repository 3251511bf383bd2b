//! Calls a day, counted by path and turned over at midnight in UTC+8.
//!
//! Figures are the documented ones for a new account; `settings.wechat.quotas` overrides
//! them by path. A call with a good token is counted whether or not it succeeds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Outcome, Refusal, refuse};
use crate::clock::day;
use crate::world::Scene;

/// Path under `/cgi-bin/` and calls a day. Keep sorted.
const DOCUMENTED: [(&str, u32); 23] = [
    ("draft/add", 1000),
    ("draft/batchget", 1000),
    ("draft/count", 1000),
    ("draft/delete", 1000),
    ("draft/get", 500),
    ("draft/update", 1000),
    ("freepublish/batchget", 100),
    ("freepublish/delete", 10),
    ("freepublish/get", 100),
    ("freepublish/getarticle", 100),
    ("freepublish/submit", 100),
    ("material/add_material", 100_000),
    ("material/batchget_material", 1000),
    ("material/del_material", 1000),
    ("material/get_materialcount", 1000),
    ("media/uploadimg", 100_000),
    ("message/mass/delete", 10),
    ("message/mass/get", 1000),
    ("message/mass/preview", 100),
    ("message/mass/sendall", 100),
    ("openapi/quota/get", 100_000),
    ("stable_token", 500_000),
    ("token", 2000),
];

pub(super) fn known(path: &str) -> bool {
    DOCUMENTED.iter().any(|(known, _)| *known == path)
}

#[derive(Debug, Default)]
pub(super) struct Quota {
    day: i64,
    used: BTreeMap<String, u32>,
    /// Minute and calls in it, by what is limited so.
    minutes: BTreeMap<&'static str, (i64, u32)>,
}

impl Quota {
    fn turn_over(&mut self, now: i64) {
        if self.day != day(now) {
            self.day = day(now);
            self.used.clear();
        }
    }

    fn limit(scene: &Scene<'_>, path: &str) -> Option<u32> {
        let documented = DOCUMENTED
            .iter()
            .find(|(known, _)| *known == path)
            .map(|(_, n)| *n);
        scene
            .settings
            .wechat
            .quotas
            .get(path)
            .copied()
            .or(documented)
    }

    pub fn spend(&mut self, scene: &Scene<'_>, path: &str) -> Result<(), Refusal> {
        self.turn_over(scene.now);
        let limit = Self::limit(scene, path).unwrap_or(u32::MAX);
        let used = self.used.entry(path.to_owned()).or_default();
        if *used >= limit {
            return refuse(45009, "reach max api daily quota limit");
        }
        *used += 1;
        Ok(())
    }

    /// The other, shorter limit some calls have: 45011 until the next minute.
    pub fn per_minute(&mut self, now: i64, what: &'static str, limit: u32) -> Result<(), Refusal> {
        let minute = now.div_euclid(60_000);
        let (counted, calls) = self.minutes.entry(what).or_default();
        if *counted != minute {
            (*counted, *calls) = (minute, 0);
        }
        *calls += 1;
        if *calls > limit {
            return refuse(
                45011,
                "api minute-quota reach limit, must slower, retry next minute",
            );
        }
        Ok(())
    }

    pub fn report(&mut self, scene: &Scene<'_>, body: &Value) -> Outcome {
        self.turn_over(scene.now);
        let path = body
            .get("cgi_path")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !path.starts_with('/') {
            return refuse(
                76003,
                "cgi_path not found: it starts with a slash and has no host",
            );
        }
        let short = path.strip_prefix("/cgi-bin/").unwrap_or_default();
        let Some(limit) = Self::limit(scene, short) else {
            return refuse(76021, "cgi_path not found, please check");
        };
        let used = self.used.get(short).copied().unwrap_or_default();
        Ok(json!({
            "errcode": 0,
            "errmsg": "ok",
            "quota": {"daily_limit": limit, "used": used, "remain": limit.saturating_sub(used)},
        }))
    }
}
