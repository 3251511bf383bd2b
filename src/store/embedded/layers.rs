//! Changes on top of what lies below, as one ordered source: where both have a key, the change counts.

use std::cmp::Ordering;
use std::iter::Peekable;

use sled::IVec;

use super::reader::Order;

/// `None` is a removal.
pub(super) type Changed = (IVec, Option<IVec>);
type Pair = sled::Result<(IVec, IVec)>;

/// Both sources go in `order`.
pub(super) struct Layers<A: Iterator<Item = Changed>, B: Iterator<Item = Pair>> {
    above: Peekable<A>,
    below: Peekable<B>,
    order: Order,
}

impl<A: Iterator<Item = Changed>, B: Iterator<Item = Pair>> Layers<A, B> {
    pub(super) fn new(above: A, below: B, order: Order) -> Self {
        Self {
            above: above.peekable(),
            below: below.peekable(),
            order,
        }
    }

    /// Which of the two keys comes first; `Equal` where the change hides what is below.
    fn first(&mut self) -> Option<Ordering> {
        let above = self.above.peek();
        let below = match self.below.peek() {
            // Told at once: what comes after it would seem whole.
            Some(Err(_)) => return Some(Ordering::Greater),
            Some(Ok((key, _))) => Some(key),
            None => None,
        };
        match (above, below) {
            (None, None) => None,
            (Some(_), None) => Some(Ordering::Less),
            (None, Some(_)) => Some(Ordering::Greater),
            (Some((above, _)), Some(below)) => Some(match self.order {
                Order::Forward => above.cmp(below),
                Order::Reverse => below.cmp(above),
            }),
        }
    }
}

impl<A: Iterator<Item = Changed>, B: Iterator<Item = Pair>> Iterator for Layers<A, B> {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        loop {
            let first = self.first()?;
            if first == Ordering::Greater {
                return self.below.next();
            }
            let (key, value) = self.above.next()?;
            if first == Ordering::Equal {
                self.below.next();
            }
            if let Some(value) = value {
                return Some(Ok((key, value)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(order: Order, above: &[(u8, Option<u8>)], below: &[(u8, u8)]) -> Vec<(u8, u8)> {
        let one = |byte: u8| IVec::from(&[byte]);
        let above = above.iter().map(|(k, v)| (one(*k), v.map(one)));
        let below = below.iter().map(|(k, v)| Ok((one(*k), one(*v))));
        let pairs = Layers::new(above, below, order).map(Result::unwrap);
        pairs.map(|(key, value)| (key[0], value[0])).collect()
    }

    #[test]
    fn a_change_hides_what_lies_below_and_a_removal_leaves_nothing() {
        let above = [(1, Some(11)), (3, None), (5, Some(15)), (9, None)];
        let below = [(2, 2), (3, 3), (5, 5), (7, 7)];
        let forward = merged(Order::Forward, &above, &below);
        assert_eq!(forward, [(1, 11), (2, 2), (5, 15), (7, 7)]);
        let above: Vec<_> = above.into_iter().rev().collect();
        let below: Vec<_> = below.into_iter().rev().collect();
        let reverse = merged(Order::Reverse, &above, &below);
        assert_eq!(reverse, [(7, 7), (5, 15), (2, 2), (1, 11)]);
    }

    #[test]
    fn an_error_below_is_told_before_anything_that_comes_after_it() {
        let above = [(IVec::from(&[9]), Some(IVec::from(&[9])))].into_iter();
        let below = [Err(sled::Error::ReportableBug("bad".to_owned()))].into_iter();
        let mut layers = Layers::new(above, below, Order::Forward);
        assert!(layers.next().is_some_and(|first| first.is_err()));
    }
}
