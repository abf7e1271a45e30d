//! Definition and repetition levels: which of a leaf's values are there, and where lists begin. They are worked out once
//! for each list and struct, and shared by all leaves inside.

use arrow_array::{Array, ArrayRef, ListArray};
use arrow_buffer::NullBuffer;

use crate::error::{Error, ErrorKind};

/// The levels of the values of a column, or of the structs and lists around it.
#[derive(Debug)]
pub(crate) struct Levels {
    /// One for each value, present or not. Below `present`, something around it is null or empty.
    definition: Vec<u8>,
    /// One for each value, or none where there is no list.
    repetition: Vec<u8>,
    /// The definition level of a value that is there, as far as this column goes.
    present: u8,
    /// A value of at least this level has a row in the column's array; the others are elements of no list.
    has_row: u8,
    /// The row of the first of them.
    first_row: usize,
    /// Whether each value has a row, as far as this column goes, as when no list is empty and no struct null.
    all_present: bool,
}

impl Levels {
    /// The levels of a table's rows.
    pub(crate) fn of_rows(rows: usize) -> Self {
        let (definition, repetition) = (vec![0; rows], Vec::new());
        Self { definition, repetition, present: 0, has_row: 0, first_row: 0, all_present: true }
    }

    pub(crate) fn repetition(&self) -> &[u8] {
        &self.repetition
    }

    /// The levels inside a struct.
    pub(crate) fn inside_struct(&self, array: &ArrayRef, nullable: bool) -> Self {
        let mut definition = Vec::with_capacity(self.definition.len());
        self.each(array.nulls(), array.len(), nullable, &mut definition, |_| {});
        let present = self.present + u8::from(nullable);
        let all_present = definition.iter().all(|&level| level == present);
        let (repetition, has_row, first_row) = (self.repetition.clone(), self.has_row, self.first_row);
        Self { definition, repetition, present, has_row, first_row, all_present }
    }

    /// The levels of a list's elements.
    pub(crate) fn inside_list(&self, list: &ListArray, nullable: bool) -> Result<Self, Error> {
        if !self.repetition.is_empty() {
            return Err(Error::new(ErrorKind::Table, "no table of an export has lists in lists"));
        }
        let offsets = list.value_offsets();
        let gaps = list.nulls().is_some_and(|nulls| {
            (0..list.len()).any(|row| nulls.is_null(row) && offsets[row] < offsets[row + 1])
        });
        if gaps {
            return Err(Error::new(ErrorKind::Table, "a null list holds elements"));
        }
        let (empty, present) = (self.present + u8::from(nullable), self.present + u8::from(nullable) + 1);
        let elements = (offsets[list.len()] - offsets[0]) as usize;
        let mut definition = Vec::with_capacity(elements + list.len());
        let mut repetition = Vec::with_capacity(elements + list.len());
        let mut outer = Vec::with_capacity(self.definition.len());
        self.each(list.nulls(), list.len(), nullable, &mut outer, |_| {});
        let mut row = self.first_row;
        for &level in &outer {
            let len = if level == empty { (offsets[row + 1] - offsets[row]) as usize } else { 0 };
            row += usize::from(level >= self.has_row);
            repetition.push(0);
            if len == 0 {
                definition.push(level);
            } else {
                definition.resize(definition.len() + len, present);
                repetition.resize(repetition.len() + len - 1, 1);
            }
        }
        let all_present = definition.iter().all(|&level| level == present);
        let first_row = offsets[0] as usize;
        Ok(Self { definition, repetition, present, has_row: present, first_row, all_present })
    }

    /// Appends the levels of a column inside, and calls back for the row of each value that is there.
    #[inline]
    pub(crate) fn each(
        &self,
        nulls: Option<&NullBuffer>,
        rows: usize,
        nullable: bool,
        definition: &mut Vec<u8>,
        mut present: impl FnMut(usize),
    ) {
        let step = u8::from(nullable);
        let len = self.definition.len();
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        if nulls.is_some_and(|nulls| nulls.null_count() == rows) {
            definition.extend_from_slice(&self.definition);
            return;
        }
        if self.all_present && self.first_row == 0 && len == rows {
            match nulls {
                None => {
                    definition.resize(definition.len() + len, self.present + step);
                    (0..len).for_each(present);
                }
                Some(nulls) => {
                    definition.extend(nulls.iter().map(|valid| self.present + u8::from(valid)));
                    nulls.valid_indices().for_each(present);
                }
            }
            return;
        }
        let mut row = self.first_row;
        definition.extend(self.definition.iter().map(|&level| {
            let here = row;
            row += usize::from(level >= self.has_row);
            if level < self.present || nulls.is_some_and(|nulls| nulls.is_null(here)) {
                return level;
            }
            present(here);
            level + step
        }));
    }
}
