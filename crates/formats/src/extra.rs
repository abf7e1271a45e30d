//! What the schema doesn't know about a record, kept as delivered.

use std::borrow::Cow;
use std::collections::HashMap;

/// Keys that the schema doesn't know, and values of another type than expected, each with its JSON text as delivered.
///
/// A key appears once; of a key that was delivered twice the last value is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Extra<'a> {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The JSON text of a key's value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_ref())
    }

    /// The keys in order of delivery, each with the JSON text of its value.
    pub fn iter(&self) -> ExtraIter<'_> {
        ExtraIter(self.0.iter())
    }

    /// Adds a key, possibly once more. Behind the last of a record's keys comes [`settle`](Self::settle).
    pub(crate) fn push(&mut self, key: Cow<'a, str>, json: Cow<'a, str>) {
        self.0.push((key, json));
    }

    /// Leaves each key once, now that all of them are there.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.0.len() > 1 {
            keep_last_of_each(&mut self.0);
        }
    }

    pub(crate) fn into_owned(self) -> Extra<'static> {
        Extra(
            self.0
                .into_iter()
                .map(|(key, value)| (Cow::Owned(key.into_owned()), Cow::Owned(value.into_owned())))
                .collect(),
        )
    }
}

/// Up to so many entries, looking at all of them is quicker than anything else.
const FEW: usize = 16;

/// Leaves of each key the last value, at the place where the key stood first.
pub(crate) fn keep_last_of_each<V>(entries: &mut Vec<(Cow<'_, str>, V)>) {
    let repeated = if entries.len() <= FEW { repeated_among_few(entries) } else { repeated(entries) };
    // Of a key that comes three times, the first takes the second value and then the third.
    for &(first, again) in &repeated {
        let (before, behind) = entries.split_at_mut(again);
        if let (Some((_, value)), Some((_, later))) = (before.get_mut(first), behind.first_mut()) {
            std::mem::swap(value, later);
        }
    }
    if !repeated.is_empty() {
        let mut at = 0;
        let mut again = repeated.iter().map(|&(_, again)| again).peekable();
        entries.retain(|_| {
            at += 1;
            again.next_if_eq(&(at - 1)).is_none()
        });
    }
}

/// The places of keys that stood before, each behind the place where it stood first.
fn repeated_among_few<V>(entries: &[(Cow<'_, str>, V)]) -> Vec<(usize, usize)> {
    let first = |again: usize| entries[..again].iter().position(|(key, _)| *key == entries[again].0);
    (1..entries.len()).filter_map(|again| Some((first(again)?, again))).collect()
}

fn repeated<V>(entries: &[(Cow<'_, str>, V)]) -> Vec<(usize, usize)> {
    let mut firsts = HashMap::with_capacity(entries.len());
    let places = entries.iter().enumerate().map(|(at, (key, _))| (*firsts.entry(&**key).or_insert(at), at));
    places.filter(|(first, at)| first < at).collect()
}

/// The keys of an [`Extra`] with their JSON texts.
#[derive(Clone, Debug)]
pub struct ExtraIter<'e>(std::slice::Iter<'e, (Cow<'e, str>, Cow<'e, str>)>);

impl<'e> Iterator for ExtraIter<'e> {
    type Item = (&'e str, &'e str);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn of_few_keys_and_of_many_the_last_values_stay_where_the_keys_stood_first(
            keys in prop::collection::vec("[a-f]", 0..2 * FEW),
        ) {
            let mut expected: Vec<(Cow<'_, str>, usize)> = Vec::new();
            for (at, key) in keys.iter().enumerate() {
                match expected.iter_mut().find(|(known, _)| known == key) {
                    Some((_, value)) => *value = at,
                    None => expected.push((Cow::Borrowed(key), at)),
                }
            }
            let mut entries: Vec<_> = keys.iter().enumerate().map(|(at, key)| (Cow::Borrowed(&**key), at)).collect();
            prop_assert_eq!(repeated_among_few(&entries), repeated(&entries));
            keep_last_of_each(&mut entries);
            prop_assert_eq!(entries, expected);
        }
    }
}
