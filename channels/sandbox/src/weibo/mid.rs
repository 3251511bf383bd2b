//! Post numbers as they stand in a reader's address: base62 in groups of seven digits.

const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const GROUP: u64 = 10_000_000;

pub(crate) fn encode(mid: u64) -> String {
    let (mut rest, mut groups) = (mid, Vec::new());
    loop {
        let leftmost = rest < GROUP;
        groups.push(base62(rest % GROUP, if leftmost { 1 } else { 4 }));
        rest /= GROUP;
        if leftmost {
            break;
        }
    }
    groups.reverse();
    groups.concat()
}

fn base62(mut number: u64, width: usize) -> String {
    let mut digits = Vec::new();
    while number > 0 || digits.len() < width {
        let digit = usize::try_from(number % 62).unwrap_or_default();
        digits.push(char::from(DIGITS[digit]));
        number /= 62;
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn the_reference_vectors_hold_and_inner_groups_are_padded() {
        for (mid, text) in [
            (3_501_756_485_200_075, "z0JH2lOMb"),
            (3_504_803_600_502_730, "z20XK26My"),
            (3_511_215_484_168_531, "z4HLuhuqn"),
            (3_500_000_010_000_002, "z00010002"),
            (7, "7"),
        ] {
            assert_eq!(encode(mid), text);
        }
    }
}
