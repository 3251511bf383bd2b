//! Who is calling: three ways of signing, of which the settings choose one.
//!
//! Standard Webhooks (the default): HMAC-SHA256 over `id.timestamp.body`, and the id is
//! the idempotency key. Sorted: every parameter but the signature, sorted by name,
//! `a=1&b=2&key=SECRET`, hashed; with an HMAC the secret is its key and `&key=` is left
//! out. Canonical: a template filled in, then hashed or HMACed. In the latter two the
//! key travels as `Idempotency-Key` and a nonce is good once.
//! Units: timestamps in Unix seconds, or milliseconds if they are that large.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sm3::Sm3;

use super::{Refusal, refuse};
use crate::multipart;
use crate::settings::{Algorithm, Place, SignNames, Signing};
use crate::wire::Call;
use crate::world::Scene;

type Nonces = Vec<(i64, String)>;

/// The idempotency key of an authentic call.
pub(super) fn verify(
    scene: &Scene<'_>,
    call: &Call,
    nonces: &mut Nonces,
) -> Result<Option<String>, Refusal> {
    let rules = &scene.settings.portal;
    match &rules.signing {
        Signing::StandardWebhooks => standard(scene, call).map(Some),
        Signing::Sorted { algorithm, place } => {
            let stamp = stamp(&rules.names, call, *place)?;
            let mut params = parameters(&rules.names, call, *place, &stamp);
            params.sort();
            let joined: Vec<_> = params
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let mut text = joined.join("&");
            if !is_hmac(*algorithm) {
                text.push_str("&key=");
                text.push_str(&scene.options.portal_secret);
            }
            legacy(scene, call, nonces, *algorithm, &stamp, &text)
        }
        Signing::Canonical {
            algorithm,
            place,
            template,
        } => {
            let stamp = stamp(&rules.names, call, *place)?;
            let text = fill(scene, call, *algorithm, &stamp, template);
            legacy(scene, call, nonces, *algorithm, &stamp, &text)
        }
    }
}

fn standard(scene: &Scene<'_>, call: &Call) -> Result<String, Refusal> {
    let wrong = || Refusal(40101, "签名不对".into());
    let id = call
        .header("webhook-id")
        .filter(|id| !id.is_empty())
        .ok_or_else(wrong)?;
    let time = call.header("webhook-timestamp").ok_or_else(wrong)?;
    let given = call.header("webhook-signature").ok_or_else(wrong)?;
    let secret = scene.options.portal_secret.trim_start_matches("whsec_");
    let key = STANDARD.decode(secret).map_err(|_| wrong())?;
    let message = [format!("{id}.{time}.").as_bytes(), call.body.as_slice()].concat();
    let good = given
        .split(' ')
        .filter_map(|one| one.strip_prefix("v1,"))
        .any(|one| {
            let mac = Hmac::<Sha256>::new_from_slice(&key).map(|mac| mac.chain_update(&message));
            match (mac, STANDARD.decode(one)) {
                (Ok(mac), Ok(bytes)) => mac.verify_slice(&bytes).is_ok(),
                _ => false,
            }
        });
    if !good {
        return Err(wrong());
    }
    in_time(scene, time)?;
    Ok(id.to_owned())
}

fn in_time(scene: &Scene<'_>, text: &str) -> Result<(), Refusal> {
    let number: i64 = text.parse().unwrap_or_default();
    let at = if number > 100_000_000_000 {
        number
    } else {
        number.saturating_mul(1000)
    };
    if (scene.now - at).abs() > scene.settings.portal.tolerance_seconds * 1000 {
        return refuse(40102, "时间戳超出允许范围");
    }
    Ok(())
}

/// The four signing fields as they came.
#[derive(Debug)]
struct Stamp {
    app_id: String,
    timestamp: String,
    nonce: String,
    sign: String,
}

fn stamp(names: &SignNames, call: &Call, place: Place) -> Result<Stamp, Refusal> {
    let fields = body_fields(call);
    let get = |name: &String| {
        let value = match place {
            Place::Header => call.header(name).map(str::to_owned),
            Place::Query => call.param(name).map(str::to_owned),
            Place::Body => fields
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, v)| v.clone()),
        };
        let missing = || Refusal(40101, format!("缺少 {name}"));
        value.filter(|value| !value.is_empty()).ok_or_else(missing)
    };
    Ok(Stamp {
        app_id: get(&names.app_id)?,
        timestamp: get(&names.timestamp)?,
        nonce: get(&names.nonce)?,
        sign: get(&names.sign)?,
    })
}

/// Top-level texts, numbers and truth values of a JSON body, or the plain fields of a form.
fn body_fields(call: &Call) -> Vec<(String, String)> {
    let kind = call.header("content-type").unwrap_or_default();
    if let Some(parts) = multipart::parse(kind, &call.body) {
        let plain = parts.into_iter().filter(|part| part.filename.is_none());
        let field =
            |part: multipart::Part| (part.name, String::from_utf8_lossy(&part.data).into_owned());
        return plain.map(field).collect();
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice(&call.body) else {
        return Vec::new();
    };
    let scalar = |(key, value): (String, Value)| match value {
        Value::String(text) => Some((key, text)),
        Value::Number(number) => Some((key, number.to_string())),
        Value::Bool(truth) => Some((key, truth.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    fields.into_iter().filter_map(scalar).collect()
}

fn parameters(
    names: &SignNames,
    call: &Call,
    place: Place,
    stamp: &Stamp,
) -> Vec<(String, String)> {
    let mut params = call.query.clone();
    params.extend(body_fields(call));
    if place == Place::Header {
        params.push((names.app_id.clone(), stamp.app_id.clone()));
        params.push((names.timestamp.clone(), stamp.timestamp.clone()));
        params.push((names.nonce.clone(), stamp.nonce.clone()));
    }
    params.retain(|(key, value)| *key != names.sign && !value.is_empty());
    params
}

fn fill(
    scene: &Scene<'_>,
    call: &Call,
    algorithm: Algorithm,
    stamp: &Stamp,
    template: &str,
) -> String {
    let sign = &scene.settings.portal.names.sign;
    let mut query = call.query.clone();
    query.retain(|(key, _)| key != sign);
    query.sort();
    let query: Vec<_> = query
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let body = String::from_utf8_lossy(&call.body);
    let plain = match algorithm {
        Algorithm::Md5 => Algorithm::Md5,
        Algorithm::Sha256 | Algorithm::HmacSha256 => Algorithm::Sha256,
        Algorithm::Sm3 | Algorithm::HmacSm3 => Algorithm::Sm3,
    };
    let body_hash = hash(plain, &[], &call.body);
    let values = [
        ("{method}", call.method.as_str()),
        ("{path}", &call.path),
        ("{query}", &query.join("&")),
        ("{app_id}", &stamp.app_id),
        ("{timestamp}", &stamp.timestamp),
        ("{nonce}", &stamp.nonce),
        ("{body_hash}", &body_hash),
        ("{secret}", &scene.options.portal_secret),
        // Last, so that nothing in a body is taken for a name.
        ("{body}", &body),
    ];
    values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
}

fn legacy(
    scene: &Scene<'_>,
    call: &Call,
    nonces: &mut Nonces,
    algorithm: Algorithm,
    stamp: &Stamp,
    text: &str,
) -> Result<Option<String>, Refusal> {
    let rules = &scene.settings.portal;
    if stamp.app_id != scene.options.portal_app_id {
        return refuse(40101, "appId 不对");
    }
    let lower = hash(
        algorithm,
        scene.options.portal_secret.as_bytes(),
        text.as_bytes(),
    );
    let expected = if rules.upper_hex {
        lower.to_uppercase()
    } else {
        lower
    };
    if stamp.sign != expected {
        return refuse(40101, "签名不对");
    }
    in_time(scene, &stamp.timestamp)?;
    nonces.retain(|(at, _)| scene.now - at <= 2 * rules.tolerance_seconds * 1000);
    if nonces.iter().any(|(_, nonce)| *nonce == stamp.nonce) && !call.twin {
        return refuse(40103, "随机串已用过");
    }
    nonces.push((scene.now, stamp.nonce.clone()));
    Ok(call.header("idempotency-key").map(str::to_owned))
}

fn is_hmac(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HmacSha256 | Algorithm::HmacSm3)
}

/// Lower-case hex.
fn hash(algorithm: Algorithm, key: &[u8], text: &[u8]) -> String {
    let bytes = match algorithm {
        Algorithm::Md5 => Md5::digest(text).to_vec(),
        Algorithm::Sha256 => Sha256::digest(text).to_vec(),
        Algorithm::Sm3 => Sm3::digest(text).to_vec(),
        Algorithm::HmacSha256 => Hmac::<Sha256>::new_from_slice(key)
            .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
            .unwrap_or_default(),
        Algorithm::HmacSm3 => Hmac::<Sm3>::new_from_slice(key)
            .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
            .unwrap_or_default(),
    };
    bytes.iter().fold(String::new(), |mut hex, byte| {
        for half in [byte >> 4, byte & 15] {
            hex.extend(char::from_digit(half.into(), 16));
        }
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::hash;
    use crate::settings::Algorithm;

    #[test]
    fn each_algorithm_gives_its_published_digest_of_abc() {
        for (algorithm, digest) in [
            (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
            (
                Algorithm::Sha256,
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                Algorithm::Sm3,
                "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
            ),
        ] {
            assert_eq!(hash(algorithm, b"", b"abc"), digest);
        }
    }
}
