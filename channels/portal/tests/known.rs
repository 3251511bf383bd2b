//! Signatures against vectors that others published or computed.

use std::collections::BTreeMap;

use chrono::{TimeZone, Utc};

use super::super::sign::{
    Algorithm, Moment, Names, Own, Place, Seen, TimeFormat, binary_signature, webhook,
};
use crate::contract::{Clock, Manual, Secret};

fn own(algorithm: Algorithm, secret: &str) -> Own {
    Own {
        secret: Secret::new(secret),
        app_id: "app1".into(),
        algorithm,
        upper: false,
        place: Place::Header,
        names: Names {
            app_id: "appId".into(),
            time: "timestamp".into(),
            nonce: "nonce".into(),
            sign: "sign".into(),
        },
        time: TimeFormat::Seconds,
        key_name: "key".into(),
    }
}

/// `weibo_cms.md` 2.3.
#[test]
fn the_standard_webhooks_vector_is_met() {
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let at = Utc.timestamp_opt(1_614_265_330, 0).unwrap();
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let headers = webhook(&[&secret], id, at, b"{\"test\": 2432232314}").unwrap();
    assert_eq!(headers[0], ("webhook-id", id.to_owned()));
    assert_eq!(headers[1], ("webhook-timestamp", "1614265330".to_owned()));
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(headers[2], ("webhook-signature", signature.to_owned()));
    let as_file = binary_signature(&secret, id, at.timestamp(), b"{\"test\": 2432232314}");
    assert_eq!(as_file.unwrap(), signature);
    assert!(webhook(&[&secret], id, at, b"\xff\xd8\xff").is_some());
}

#[test]
fn old_and_new_key_sign_together_while_one_replaces_the_other() {
    let (old, new) = (Secret::new("whsec_AAAA"), Secret::new("whsec_BBBB"));
    let at = Manual::default().now();
    let headers = webhook(&[&old, &new], "m", at, b"{}").unwrap();
    assert_eq!(headers[2].1.split(' ').count(), 2);
}

/// RFC 1321, FIPS 180 and GB/T 32905 for the bare hashes of `abc`.
#[test]
fn hashes_meet_their_published_vectors() {
    let seen = Seen {
        method: "POST",
        path: "/",
        query: "",
        body: b"abc",
    };
    let moment = Moment::new(Manual::default().now(), 0.5, "m");
    let of = |algorithm| own(algorithm, "").canonical("{body}", &seen, &moment);
    assert_eq!(of(Algorithm::Md5), "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(
        of(Algorithm::Sha256),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(
        of(Algorithm::Sm3),
        "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    );
}

/// RFC 4231 case 2 and RFC 2202 case 2.
#[test]
fn keyed_hashes_meet_their_published_vectors() {
    let seen = Seen {
        method: "POST",
        path: "/",
        query: "",
        body: b"what do ya want for nothing?",
    };
    let moment = Moment::new(Manual::default().now(), 0.5, "m");
    let of = |algorithm| own(algorithm, "Jefe").canonical("{body}", &seen, &moment);
    assert_eq!(
        of(Algorithm::HmacSha256),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    assert_eq!(of(Algorithm::HmacMd5), "750c783e6ab0b503eaa86e310a5db738");
    assert_ne!(of(Algorithm::HmacSm3), of(Algorithm::Sm3));
}

/// The recipe of the TIF headers, computed by hand: time, token, nonce, time.
#[test]
fn a_recipe_puts_its_pieces_where_it_says() {
    let mut tif = own(Algorithm::Sha256, "token");
    tif.upper = true;
    let at = Utc.timestamp_opt(1_614_265_330, 0).unwrap();
    let moment = Moment {
        now: at,
        nonce: "n1".into(),
    };
    let seen = Seen {
        method: "POST",
        path: "/a",
        query: "",
        body: b"not signed",
    };
    let signed = tif.canonical("{timestamp}{secret}{nonce}{timestamp}", &seen, &moment);
    let same = own(Algorithm::Sha256, "");
    let by_hand = Seen {
        body: b"1614265330tokenn11614265330",
        ..seen
    };
    assert_eq!(
        signed,
        same.canonical("{body}", &by_hand, &moment).to_uppercase()
    );
}

#[test]
fn sorted_parameters_leave_out_the_empty_ones_and_the_signature_and_end_in_the_key() {
    let own = own(Algorithm::Md5, "s3cret");
    let parameters = BTreeMap::from(
        [("b", "2"), ("a", "1"), ("c", ""), ("sign", "x")].map(|(k, v)| (k.into(), v.into())),
    );
    let seen = Seen {
        method: "POST",
        path: "/",
        query: "",
        body: b"a=1&b=2&key=s3cret",
    };
    let moment = Moment::new(Manual::default().now(), 0.5, "m");
    let by_hand = own.canonical("{body}", &seen, &moment);
    assert_eq!(own.sorted(&parameters), by_hand);
}

#[test]
fn a_nonce_is_new_for_every_moment_and_the_same_for_the_same_one() {
    let now = Manual::default().now();
    let nonce = |dice| Moment::new(now, dice, "m").nonce;
    assert_eq!(nonce(0.25), nonce(0.25));
    assert_ne!(nonce(0.25), nonce(0.26));
}
