//! Fields out of a message.

use super::{Field, FieldError, HEADER_LEN, Message};

/// Takes fields from the front of a message.
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    big_endian: bool,
}

macro_rules! read_number {
    ($name:ident, $type:ty) => {
        #[doc = concat!("One `", stringify!($type), "`, aligned to its size.")]
        ///
        /// # Errors
        /// Where the message ends before it.
        pub fn $name(&mut self, field: &str) -> Result<$type, FieldError> {
            const SIZE: usize = size_of::<$type>();
            self.align(SIZE);
            let bytes = self.take(field, SIZE, concat!("a ", stringify!($type)))?;
            let mut number = [0; SIZE];
            number.copy_from_slice(bytes);
            Ok(if self.big_endian {
                <$type>::from_be_bytes(number)
            } else {
                <$type>::from_le_bytes(number)
            })
        }
    };
}

impl<'a> Reader<'a> {
    /// Checks the encapsulation header and stands behind it.
    ///
    /// # Errors
    /// Where the message is shorter than the header or is not plain CDR: parameter lists and
    /// version 2 align differently, so reading on would give wrong numbers.
    pub fn new(bytes: &'a [u8]) -> Result<Self, FieldError> {
        let wrong = |found: String| FieldError {
            field: "encapsulation".to_owned(),
            offset: 0,
            expected: "plain CDR (00 00 or 00 01)".to_owned(),
            found,
        };
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(wrong(format!("a message of {} bytes", bytes.len())));
        };
        let big_endian = match header[..2] {
            [0, 0] => true,
            [0, 1] => false,
            [0, 2 | 3] => return Err(wrong("a parameter list (PL_CDR)".to_owned())),
            [0, 6..=0x0b] => return Err(wrong(format!("CDR version 2 (00 {:02x})", header[1]))),
            _ => return Err(wrong(format!("{:02x} {:02x}", header[0], header[1]))),
        };
        Ok(Self { bytes, position: HEADER_LEN, big_endian })
    }

    /// Bytes that are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    /// Where the next field is looked for, counted from the first byte of the message.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Skips the padding before a number of `size` bytes. It may lead past the end; the read that
    /// follows reports that.
    fn align(&mut self, size: usize) {
        let since_header = self.position - HEADER_LEN;
        self.position = HEADER_LEN + since_header.next_multiple_of(size);
    }

    fn error(&self, field: &str, expected: String, found: String) -> FieldError {
        FieldError { field: field.to_owned(), offset: self.position, expected, found }
    }

    fn take(&mut self, field: &str, len: usize, what: &str) -> Result<&'a [u8], FieldError> {
        let taken = self.bytes.get(self.position..).and_then(|rest| rest.get(..len));
        let Some(taken) = taken else {
            let expected = match what {
                "" => format!("{len} bytes"),
                what => format!("{what} ({len} bytes)"),
            };
            let found = format!("{} bytes up to the end of the message", self.remaining());
            return Err(self.error(field, expected, found));
        };
        self.position += len;
        Ok(taken)
    }

    read_number!(u8, u8);
    read_number!(u16, u16);
    read_number!(u32, u32);
    read_number!(u64, u64);
    read_number!(i32, i32);
    read_number!(i64, i64);
    read_number!(f32, f32);
    read_number!(f64, f64);

    /// One `bool`; any byte but 0 is true, as C++ readers have it.
    ///
    /// # Errors
    /// Where the message ends before it.
    pub fn bool(&mut self, field: &str) -> Result<bool, FieldError> {
        Ok(self.take(field, 1, "a bool")?[0] != 0)
    }

    /// One string, borrowed from the message, without its terminating NUL. A length of zero is
    /// taken as the empty string, since some writers leave the NUL out there.
    ///
    /// # Errors
    /// Where the message ends before it, the NUL is missing, or it is not UTF-8.
    pub fn string(&mut self, field: &str) -> Result<&'a str, FieldError> {
        let len = self.u32(field)? as usize;
        let start = self.position;
        let bytes = self.take(field, len, "a string")?;
        let at_start = |expected: &str, found: String| FieldError {
            field: field.to_owned(),
            offset: start,
            expected: expected.to_owned(),
            found,
        };
        let text = match bytes.split_last() {
            None => bytes,
            Some((0, text)) => text,
            Some((last, _)) => {
                return Err(at_start("a string that ends with NUL", format!("{last:#04x}")));
            }
        };
        std::str::from_utf8(text).map_err(|error| {
            at_start("UTF-8", format!("an invalid byte at {} of the string", error.valid_up_to()))
        })
    }

    /// A sequence of bytes, borrowed from the message.
    ///
    /// # Errors
    /// Where the message ends before the count or before the last byte.
    pub fn byte_sequence(&mut self, field: &str) -> Result<&'a [u8], FieldError> {
        let len = self.u32(field)? as usize;
        self.take(field, len, "")
    }

    /// An array of `N` doubles.
    ///
    /// # Errors
    /// Where the message ends before the last one.
    pub fn f64_array<const N: usize>(&mut self, field: &str) -> Result<[f64; N], FieldError> {
        let mut array = [0.0; N];
        for value in &mut array {
            *value = self.f64(field)?;
        }
        Ok(array)
    }

    /// A sequence of numbers, texts or messages. A count that could not fit into the rest of the
    /// message is refused before anything is allocated for it.
    ///
    /// # Errors
    /// Where the count does not fit, or an element cannot be read.
    pub fn sequence<F: Field<'a>>(&mut self, field: &str) -> Result<Vec<F>, FieldError> {
        let count = self.sequence_len(field, F::SMALLEST)?;
        let mut elements = Vec::with_capacity(count);
        for index in 0..count {
            let element =
                F::read_as(self, "").map_err(|error| error.inside_element(field, index))?;
            elements.push(element);
        }
        Ok(elements)
    }

    /// One message inside another.
    ///
    /// # Errors
    /// The first field of it that cannot be read.
    pub fn nested<M: Message<'a>>(&mut self, field: &str) -> Result<M, FieldError> {
        M::read(self).map_err(|error| error.inside(field))
    }

    fn sequence_len(&mut self, field: &str, smallest_element: usize) -> Result<usize, FieldError> {
        let count = self.u32(field)? as usize;
        let most = self.remaining() / smallest_element.max(1);
        if count > most {
            let expected = format!("at most {most} elements in the bytes that are left");
            return Err(self.error(field, expected, format!("a count of {count}")));
        }
        Ok(count)
    }
}
