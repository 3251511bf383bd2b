//! What the sandbox says about itself: overview, ledger, faults, settings.
//!
//! JSON for programs; the overview and the faults are also pages for people. None of
//! this belongs to a platform, so no fault strikes it and the ledger does not count it.

use std::str::FromStr;

use serde_json::{Value, json};

use crate::faults::{Fault, Kind};
use crate::ledger::Platform;
use crate::pages;
use crate::wire::{Call, Reply};
use crate::world::World;

pub(crate) fn answer(world: &mut World, call: &Call) -> Reply {
    let platform = call.param("platform").and_then(Platform::parse);
    match (call.method.as_str(), call.path.as_str()) {
        ("GET" | "HEAD", "/") => pages::overview(world),
        ("GET", "/ledger") => Reply::json(200, &json!({"rows": world.ledger.rows(platform)})),
        ("GET", "/ledger/public") => Reply::json(200, &json!({"posts": world.public(platform)})),
        ("GET", "/settings") => Reply::json(200, &json!(world.settings)),
        ("POST", "/settings") => change_settings(world, call),
        ("GET" | "HEAD", "/wechat" | "/weibo" | "/portal") => {
            Reply::see_other(&format!("{}/", call.path))
        }
        (method, path) if path == "/faults" || path.starts_with("/faults/") => {
            faults(world, call, method, path)
        }
        _ => pages::error_page(404),
    }
}

fn refused(why: &str) -> Reply {
    Reply::json(400, &json!({"error": why}))
}

fn change_settings(world: &mut World, call: &Call) -> Reply {
    let Ok(change) = serde_json::from_slice::<Value>(&call.body) else {
        return refused("the body is no JSON");
    };
    match world.settings.with(&change) {
        Ok(settings) => {
            world.settings = settings;
            Reply::json(200, &json!(world.settings))
        }
        Err(error) => refused(&error.to_string()),
    }
}

fn faults(world: &mut World, call: &Call, method: &str, path: &str) -> Reply {
    let wants_page = call
        .header("accept")
        .is_some_and(|accept| accept.contains("text/html"));
    let list = |world: &World| Reply::json(200, &json!({"faults": world.faults.list()}));
    match (method, path) {
        ("GET", "/faults") if wants_page => pages::faults(world),
        ("GET", "/faults") => list(world),
        ("DELETE", "/faults") => {
            world.faults.clear();
            list(world)
        }
        ("POST", "/faults/clear") => {
            world.faults.clear();
            Reply::see_other("/faults")
        }
        ("POST", "/faults") => add_fault(world, call),
        ("DELETE", _) => match path.strip_prefix("/faults/").and_then(|id| id.parse().ok()) {
            Some(id) if world.faults.remove(id) => list(world),
            _ => Reply::json(404, &json!({"error": "no such fault"})),
        },
        _ => pages::error_page(405),
    }
}

fn add_fault(world: &mut World, call: &Call) -> Reply {
    // `curl -d` calls everything a form, JSON too.
    let kind = call.header("content-type").unwrap_or_default();
    let form =
        kind.starts_with("application/x-www-form-urlencoded") && !call.body.starts_with(b"{");
    let parsed = if form {
        from_form(&call.body)
    } else {
        serde_json::from_slice(&call.body).map_err(|error| error.to_string())
    };
    match parsed {
        Err(why) => refused(&why),
        Ok(fault) => {
            let id = world.faults.add(fault);
            if form {
                Reply::see_other("/faults")
            } else {
                Reply::json(201, &json!({"id": id}))
            }
        }
    }
}

/// The page's form: an empty field is a field that was not given.
fn from_form(body: &[u8]) -> Result<Fault, String> {
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
    let get = |name: &str| {
        let found = fields
            .iter()
            .find(|(key, value)| key == name && !value.trim().is_empty());
        found.map(|(_, value)| value.trim().to_owned())
    };
    let platform = get("platform").and_then(|name| Platform::parse(&name));
    let kind = get("kind").and_then(|name| Kind::ALL.into_iter().find(|k| k.name() == name));
    let (Some(platform), Some(kind)) = (platform, kind) else {
        return Err("platform or kind is unknown".into());
    };
    let mut fault = Fault::new(platform, kind, &get("path").unwrap_or_default());
    fault.method = get("method");
    fault.times = number("times", get("times"))?;
    fault.after = number("after", get("after"))?.unwrap_or_default();
    fault.code = number("code", get("code"))?;
    fault.message = get("message");
    fault.status = number("status", get("status"))?;
    fault.seconds = number("seconds", get("seconds"))?;
    fault.retry_after = get("retry_after");
    fault.location = get("location");
    fault.applied = get("applied").map(|text| text == "true");
    Ok(fault)
}

fn number<T: FromStr>(name: &str, text: Option<String>) -> Result<Option<T>, String> {
    text.map(|text| text.parse().map_err(|_| format!("{name} is no number")))
        .transpose()
}
