//! A JSON list of activities, read as JSON Lines: nobody has said in what the service wraps activities that are asked for as
//! JSON (contract (c.1), (j.23)), and tools that are fed JSON Lines often write lists.
//!
//! Each byte becomes one byte, so that a row's place is still that in the file; its line is its number in the list, though.

use std::io::{self, Read};

/// Reads a list as lines.
pub(crate) struct ListLines<R> {
    reader: R,
    list: List,
    /// What comes when the reader has ended.
    end: Option<&'static [u8]>,
}

impl<R: Read> ListLines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, list: List::default(), end: None }
    }
}

impl<R: Read> Read for ListLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(end) = &mut self.end {
            return end.read(buffer);
        }
        let len = self.reader.read(buffer)?;
        self.list.make_lines(&mut buffer[..len]);
        if len == 0 && !buffer.is_empty() {
            // A list that isn't closed lacks what came behind; a row that is cut off says so.
            let is_cut = self.list.depth == 1 && !self.list.in_text;
            return self.end.insert(if is_cut { b"\n{" } else { b"" }).read(buffer);
        }
        Ok(len)
    }
}

/// How far a list has been followed.
#[derive(Debug, Default)]
struct List {
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl List {
    /// Makes lines of the list's elements, in place.
    fn make_lines(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'[' | b'{' => {
                    if self.depth == 0 && *byte == b'[' {
                        *byte = b' ';
                    }
                    self.depth += 1;
                }
                b']' | b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 && *byte == b']' {
                        *byte = b'\n';
                    }
                }
                b',' if self.depth == 1 => *byte = b'\n',
                b'\n' if self.depth > 0 => *byte = b' ',
                _ => {}
            }
        }
    }
}

/// The lines of what a list begins with.
pub(crate) fn lines_of(beginning: &[u8]) -> Vec<u8> {
    let mut lines = beginning.to_vec();
    List::default().make_lines(&mut lines);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_become_lines_wherever_the_list_is_cut_into_pieces() {
        let list = "\u{feff} [\n{\"a\":[1,\n{\"b\":\"],\\\"[\"}]},\r\n2 ]\n[{}]\n{\"c\":\n3}\n";
        let lines = "\u{feff}  \u{20}{\"a\":[1, {\"b\":\"],\\\"[\"}]}\n\r 2 \n\n {}\n\n{\"c\": 3}\n";
        for size in [1, 2, 7, 100] {
            let (mut found, mut followed) = (list.as_bytes().to_vec(), List::default());
            found.chunks_mut(size).for_each(|piece| followed.make_lines(piece));
            assert_eq!(String::from_utf8(found).unwrap(), lines, "{size}");
        }
    }
}
