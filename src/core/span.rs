//! Sets of keys as intervals.

use std::ops::Bound;

use bytes::Bytes;

use crate::command::Span;

/// All keys from `start` on and below `end`, or without an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    /// First key.
    pub start: Bytes,
    /// End, not included; `None` reaches to the last key there is.
    pub end: Option<Bytes>,
}

impl Interval {
    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &Bytes) -> Self {
        Self { start: prefix.clone(), end: successor(prefix) }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        self.start <= key && self.end.as_ref().is_none_or(|end| key < end)
    }

    /// No key can be inside. Maps must not be asked for such a range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// As a range of a map by key.
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = self.end.as_ref().map_or(Bound::Unbounded, |end| Bound::Excluded(&end[..]));
        (Bound::Included(&self.start[..]), end)
    }
}

impl From<&Span> for Interval {
    fn from(span: &Span) -> Self {
        match span {
            Span::Key(key) => {
                let mut end = Vec::with_capacity(key.len() + 1);
                end.extend_from_slice(key);
                end.push(0);
                Self { start: key.clone(), end: Some(end.into()) }
            }
            Span::Between { start, end } => Self { start: start.clone(), end: Some(end.clone()) },
            Span::Prefix(prefix) => Self::prefix(prefix),
        }
    }
}

/// The least key above all that begin with `prefix`; `None` if there is no such key.
fn successor(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_that_does_not_begin_so() {
        let end = |prefix: &'static [u8]| Interval::prefix(&Bytes::from_static(prefix)).end;
        assert_eq!(end(b"ab"), Some(Bytes::from_static(b"ac")));
        assert_eq!(end(b"a\xff\xff"), Some(Bytes::from_static(b"b")));
        assert_eq!(end(b"\xff"), None);
        assert_eq!(end(b""), None);
    }

    #[test]
    fn one_key_holds_itself_alone() {
        let one = Interval::from(&Span::Key(Bytes::from_static(b"k")));
        assert!(one.contains(b"k") && !one.contains(b"k\0") && !one.contains(b"j") && !one.is_empty());
    }
}
