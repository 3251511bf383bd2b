//! The public address of a post, computed from its id.
//!
//! Seven decimal digits become four of base 62, from the right; every group but the leftmost is
//! filled up with zeros. The whole number in base 62 would be another, wrong address.

const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// `{web}/{uid}/{mid}`; `None` when the id is no number.
pub fn permalink(web: &str, uid: &str, id: &str) -> Option<String> {
    Some(format!("{web}/{uid}/{}", mid(id)?))
}

fn mid(id: &str) -> Option<String> {
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let groups: Option<Vec<String>> = id
        .as_bytes()
        .rchunks(7)
        .map(|group| Some(base62(std::str::from_utf8(group).ok()?.parse().ok()?)))
        .collect();
    let mut mid = String::new();
    for (place, group) in groups?.into_iter().rev().enumerate() {
        if place > 0 {
            mid.extend(std::iter::repeat_n(
                '0',
                4_usize.saturating_sub(group.len()),
            ));
        }
        mid.push_str(&group);
    }
    Some(mid)
}

fn base62(mut number: usize) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(DIGITS[number % 62]));
        number /= 62;
        if number == 0 {
            break;
        }
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_vectors_hold() {
        for (id, expected) in [
            ("3501756485200075", "z0JH2lOMb"),
            ("3504803600502730", "z20XK26My"),
            ("3511215484168531", "z4HLuhuqn"),
        ] {
            assert_eq!(mid(id).as_deref(), Some(expected), "{id}");
        }
    }

    #[test]
    fn a_group_of_few_digits_is_filled_up_inside_and_not_at_the_front() {
        assert_eq!(mid("10000001").as_deref(), Some("10001"));
        assert_eq!(mid("1").as_deref(), Some("1"));
        assert_eq!(mid("100000000000000").as_deref(), Some("100000000"));
    }

    #[test]
    fn what_is_no_number_has_no_address() {
        for id in ["", "abc", "-1", "1.5", " 1"] {
            assert_eq!(permalink("https://weibo.com", "1", id), None, "{id}");
        }
    }
}
