//! `Retry-After`: when a platform wants to be asked again.

use chrono::{DateTime, TimeDelta, Utc};

use crate::contract::{Reply, Timestamp};

/// Nothing a header says makes us wait longer than this; an absurd figure is a broken server.
const LONGEST: TimeDelta = TimeDelta::hours(24);

/// The time the reply names, in seconds or as a date. A moment that has passed is now; one that
/// lies more than a day ahead is a day ahead; what cannot be read is nothing.
pub fn retry_after(reply: &Reply, now: Timestamp) -> Option<Timestamp> {
    let value = reply.header("retry-after")?.trim();
    let named = if value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty() {
        let seconds = value
            .parse::<i64>()
            .unwrap_or(i64::MAX)
            .min(LONGEST.num_seconds());
        now + TimeDelta::seconds(seconds)
    } else {
        DateTime::parse_from_rfc2822(value)
            .ok()?
            .with_timezone(&Utc)
    };
    Some(named.clamp(now, now + LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Clock, Manual};
    use http::{HeaderMap, HeaderValue};

    fn asked(value: &str) -> Option<i64> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_str(value).unwrap());
        let reply = Reply {
            status: 503,
            headers,
            body: Vec::new(),
        };
        let now = Manual::default().now();
        retry_after(&reply, now).map(|at| (at - now).num_seconds())
    }

    #[test]
    fn seconds_and_dates_are_read() {
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked("Mon, 23 Nov 2026 01:00:30 GMT"), Some(30));
    }

    #[test]
    fn the_past_is_now_and_the_absurd_is_a_day() {
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(asked("99999999999999999999999"), Some(86_400));
        assert_eq!(asked("Thu, 31 Dec 2099 23:59:59 GMT"), Some(86_400));
    }

    #[test]
    fn what_cannot_be_read_names_no_time() {
        for value in ["", "-5", "soon", "1.5"] {
            assert_eq!(asked(value), None, "{value}");
        }
    }
}
