//! One call: filled in, signed, sent once, judged.

use http::Method;
use serde_json::{Map, Value, json};

use super::article::{self, Article};
use super::call::{BodySpec, CallSpec};
use super::fate::{self, Outcome};
use super::settings::Settings;
use super::sign::{Moment, Own, Place, Seen, Signing, webhook};
use crate::contract::{Body, Call, DraftMedia, Effect, Failure, Job, Part, Request, Words};
use crate::kit::{exchange, form};

pub struct Api<'a> {
    pub settings: &'a Settings,
    pub call: &'a Call<'a>,
    pub effect: Effect,
}

/// What is being sent, before it is bytes.
enum Payload {
    Nothing,
    Json(Map<String, Value>),
    Form(Vec<(String, String)>),
    Written(String, String),
    Files(Vec<Part>),
}

struct Outgoing {
    method: Method,
    url: url::Url,
    headers: Vec<(String, String)>,
    payload: Payload,
}

impl Api<'_> {
    pub fn platform(&self) -> Words {
        Words::new(self.settings.name.clone(), "The portal")
    }

    /// Sends one of the configured calls. `id` names the message for good: a repeat has the same.
    pub async fn send(
        &self,
        spec: &CallSpec,
        job: &Job,
        id: &str,
        file: Option<(&str, &DraftMedia)>,
    ) -> Result<Outcome, Failure> {
        let moment = Moment::new(self.call.now(), self.call.dice, id);
        let outgoing = self.fill(spec, job, id, &moment, file)?;
        let mut request = self.signed(outgoing, id, &moment)?;
        request.within = self.call.left();
        request.fresh = matches!(self.effect, Effect::Public | Effect::Keyed { .. });
        let sent = self.call.http.send(request).await;
        let reply =
            sent.map_err(|trouble| exchange::lost(&self.platform(), self.effect, &trouble))?;
        fate::judge(self, &reply)
    }

    fn fill(
        &self,
        spec: &CallSpec,
        job: &Job,
        id: &str,
        moment: &Moment,
        file: Option<(&str, &DraftMedia)>,
    ) -> Result<Outgoing, Failure> {
        let article = job.sole().and_then(|sole| article::read(&sole.draft));
        let fields = article
            .as_ref()
            .map(|article| placed(self.settings, article, job))
            .unwrap_or_default();
        let with = context(self.settings, job, id, moment, &fields);
        let written = |hole| {
            let filled = self.settings.templates.fill(hole, &with);
            filled.map_err(|error| fate::template(super::template::Hole::name(hole), &error))
        };
        let url = written(&spec.url)?;
        let url = url::Url::parse(url.trim())
            .map_err(|_| fate::bug("the filled address is no address"))?;
        let mut headers = Vec::new();
        for (name, hole) in &spec.headers {
            headers.push((name.clone(), written(hole)?));
        }
        let named = || {
            let (names, templates) = (&self.settings.fields, &self.settings.templates);
            names
                .named(&fields, templates, &with)
                .map_err(|error| fate::template("constants", &error))
        };
        let payload = match (&spec.body, file) {
            (_, Some((part, media))) => Payload::Files(vec![Part {
                name: part.to_owned(),
                file: Some(media.name.clone()),
                mime: Some(media.mime.clone()),
                bytes: media.bytes.clone(),
            }]),
            (BodySpec::Nothing, None) => Payload::Nothing,
            (BodySpec::Json, None) => {
                let data = named()?;
                Payload::Json(match &article {
                    Some(article) if self.settings.fields.envelope => {
                        envelope(&self.settings.fields.kind, article, data)
                    }
                    _ => data,
                })
            }
            (BodySpec::Form, None) => Payload::Form(flat(named()?)),
            (BodySpec::Written(hole, mime), None) => Payload::Written(written(hole)?, mime.clone()),
        };
        Ok(Outgoing {
            method: spec.method.clone(),
            url,
            headers,
            payload,
        })
    }

    fn signed(&self, outgoing: Outgoing, id: &str, moment: &Moment) -> Result<Request, Failure> {
        match &self.settings.signing {
            Signing::None => Ok(request(outgoing)),
            Signing::StandardWebhooks { .. } => {
                let request = request(outgoing);
                let bytes = bytes(&request.body);
                let secrets = self.settings.signing.secrets();
                let headers = webhook(&secrets, id, moment.now, &bytes)
                    .ok_or_else(|| fate::bug("this body cannot be signed: it is no text"))?;
                let request = headers.into_iter().fold(request, |request, (name, value)| {
                    request.header(name, value)
                });
                Ok(request.header("idempotency-key", id))
            }
            Signing::Sorted(own) => {
                let mut outgoing = outgoing;
                put(&mut outgoing, own, own.pieces(moment));
                let mut parameters = parameters(&outgoing);
                parameters.extend(own.pieces(moment));
                let sign = own.sorted(&parameters);
                put(&mut outgoing, own, vec![(own.names.sign.clone(), sign)]);
                Ok(request(outgoing).header("idempotency-key", id))
            }
            Signing::Canonical(own, recipe) => {
                let mut outgoing = outgoing;
                put(&mut outgoing, own, own.pieces(moment));
                let (method, url) = (outgoing.method.clone(), outgoing.url.clone());
                let body = match &outgoing.payload {
                    Payload::Nothing => Vec::new(),
                    payload => bytes(&body(payload)),
                };
                let seen = Seen {
                    method: method.as_str(),
                    path: url.path(),
                    query: url.query().unwrap_or_default(),
                    body: &body,
                };
                let sign = own.canonical(recipe, &seen, moment);
                put(&mut outgoing, own, vec![(own.names.sign.clone(), sign)]);
                Ok(request(outgoing).header("idempotency-key", id))
            }
        }
    }
}

/// Adds what identifies the call where the portal looks for it.
fn put(outgoing: &mut Outgoing, own: &Own, pieces: Vec<(String, String)>) {
    for (name, value) in pieces {
        match (own.place, &mut outgoing.payload) {
            (Place::Body, Payload::Json(fields)) => drop(fields.insert(name, json!(value))),
            (Place::Body, Payload::Form(fields)) => fields.push((name, value)),
            (Place::Header, _) => outgoing.headers.push((name, value)),
            // A body that cannot take them leaves the query.
            (Place::Query | Place::Body, _) => {
                outgoing.url.query_pairs_mut().append_pair(&name, &value);
            }
        }
    }
}

/// What sorted parameters are made of: the query, and the plain values of the body's first level.
fn parameters(outgoing: &Outgoing) -> std::collections::BTreeMap<String, String> {
    let mut parameters: std::collections::BTreeMap<String, String> = outgoing
        .url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    match &outgoing.payload {
        Payload::Json(fields) => {
            for (name, value) in fields {
                if let Some(text) = plain(value) {
                    parameters.insert(name.clone(), text);
                }
            }
        }
        Payload::Form(fields) => parameters.extend(fields.iter().cloned()),
        Payload::Nothing | Payload::Written(..) | Payload::Files(_) => {}
    }
    parameters
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn flat(fields: Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: Value| plain(&value).unwrap_or_else(|| value.to_string());
    fields
        .into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect()
}

fn envelope(kind: &str, article: &Article, data: Map<String, Value>) -> Map<String, Value> {
    let mut envelope = Map::new();
    envelope.insert("type".to_owned(), json!(kind));
    envelope.insert("timestamp".to_owned(), json!(article.received));
    envelope.insert("data".to_owned(), Value::Object(data));
    envelope
}

fn body(payload: &Payload) -> Body {
    let (mime, bytes) = match payload {
        Payload::Nothing => return Body::Empty,
        Payload::Json(fields) => {
            let bytes = serde_json::to_vec(fields).unwrap_or_default();
            ("application/json".to_owned(), bytes)
        }
        Payload::Form(fields) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(fields);
            let mime = "application/x-www-form-urlencoded".to_owned();
            (mime, form.finish().into_bytes())
        }
        Payload::Written(text, mime) => (mime.clone(), text.clone().into_bytes()),
        Payload::Files(parts) => return Body::Multipart(parts.clone()),
    };
    Body::Bytes { mime, bytes }
}

fn bytes(body: &Body) -> Vec<u8> {
    match body {
        Body::Empty => Vec::new(),
        Body::Bytes { bytes, .. } => bytes.clone(),
        Body::Multipart(parts) => form::encode(parts).bytes,
    }
}

fn request(outgoing: Outgoing) -> Request {
    let mut request = Request::new(outgoing.method, outgoing.url.as_str());
    request.body = body(&outgoing.payload);
    request.headers = outgoing.headers;
    request
}

/// The key under which this article is known over there: that of the job that made it.
pub fn key(job: &Job) -> &str {
    job.progress.get(super::way::CREATED).unwrap_or(&job.key)
}

/// The article's fields with uploaded files at their places.
fn placed(settings: &Settings, article: &Article, job: &Job) -> Map<String, Value> {
    let fact = |kind: &str, hash: &str| {
        let name = format!("{kind}/{}", article::short(hash));
        job.progress.get(&name).unwrap_or_default().to_owned()
    };
    let mut fields = article.fields.clone();
    fields.insert("key".to_owned(), json!(key(job)));
    let attachments: Vec<Value> = article
        .attachments
        .iter()
        .map(|file| {
            let (id, url) = (fact("file", &file.hash), fact("file_url", &file.hash));
            let url = if url.is_empty() {
                file.url.clone()
            } else {
                url
            };
            let mut entry =
                json!({ "name": file.name, "url": url, "bytes": file.bytes, "mime": file.mime });
            if !id.is_empty() {
                entry["id"] = json!(id);
            }
            entry
        })
        .collect();
    fields.insert("attachments".to_owned(), Value::Array(attachments));
    if settings.calls.files.is_some() {
        let content = fields.get("content").and_then(Value::as_str);
        let content = crate::kit::html::with_images(content.unwrap_or_default(), |src| {
            let Some(hash) = src.strip_prefix("media:") else {
                return Some(src.to_owned());
            };
            Some(fact("file_url", hash)).filter(|url| !url.is_empty())
        });
        fields.insert("content".to_owned(), json!(content));
    }
    fields
}

/// What templates can name.
fn context(
    settings: &Settings,
    job: &Job,
    id: &str,
    moment: &Moment,
    fields: &Map<String, Value>,
) -> minijinja::Value {
    let app_id = match &settings.signing {
        Signing::Sorted(own) | Signing::Canonical(own, _) => own.app_id.as_str(),
        Signing::None | Signing::StandardWebhooks { .. } => "",
    };
    let mut with = fields.clone();
    let more = json!({
        "endpoint": settings.endpoint,
        "key": key(job),
        "message_id": id,
        "remote_id": job.progress.get("id").unwrap_or_default(),
        "remote_url": job.progress.get("url").unwrap_or_default(),
        "reason": job.reason.as_deref().unwrap_or_default(),
        "app_id": app_id,
        "timestamp": moment.now.timestamp(),
        "timestamp_ms": moment.now.timestamp_millis(),
        "time": moment.now.with_timezone(&chrono_tz::Asia::Shanghai).format("%Y-%m-%d %H:%M:%S").to_string(),
        "nonce": moment.nonce,
    });
    if let Value::Object(more) = more {
        with.extend(more);
    }
    minijinja::Value::from_serialize(with)
}
