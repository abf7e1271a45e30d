//! What the schema doesn't know about a record, kept as delivered.

use std::borrow::Cow;

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

    pub(crate) fn set(&mut self, key: Cow<'a, str>, json: Cow<'a, str>) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, value)) => *value = json,
            None => self.0.push((key, json)),
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

/// The keys of an [`Extra`] with their JSON texts.
#[derive(Clone, Debug)]
pub struct ExtraIter<'e>(std::slice::Iter<'e, (Cow<'e, str>, Cow<'e, str>)>);

impl<'e> Iterator for ExtraIter<'e> {
    type Item = (&'e str, &'e str);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }
}
