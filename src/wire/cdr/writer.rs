//! Fields into a message.

use super::{Field, HEADER_LEN};

/// Puts fields behind each other, little-endian.
pub struct Writer {
    bytes: Vec<u8>,
}

macro_rules! write_number {
    ($name:ident, $type:ty) => {
        #[doc = concat!("One `", stringify!($type), "`, aligned to its size.")]
        pub fn $name(&mut self, value: $type) {
            self.align(size_of::<$type>());
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    };
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0, 1, 0, 0] }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn align(&mut self, size: usize) {
        let since_header = self.bytes.len() - HEADER_LEN;
        self.bytes.resize(HEADER_LEN + since_header.next_multiple_of(size), 0);
    }

    write_number!(u8, u8);
    write_number!(u16, u16);
    write_number!(u32, u32);
    write_number!(u64, u64);
    write_number!(i32, i32);
    write_number!(i64, i64);
    write_number!(f32, f32);
    write_number!(f64, f64);

    /// One `bool`.
    pub fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// A count; CDR has no longer ones.
    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("no message of Owlet has 2^32 elements"));
    }

    /// One string with its terminating NUL.
    pub fn string(&mut self, text: &str) {
        self.count(text.len() + 1);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    /// A sequence of bytes.
    pub fn byte_sequence(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// An array of doubles: no count.
    pub fn f64_array(&mut self, values: &[f64]) {
        for value in values {
            self.f64(*value);
        }
    }

    /// A sequence of numbers, texts or messages.
    pub fn sequence<'a, F: Field<'a>>(&mut self, elements: &[F]) {
        self.count(elements.len());
        for element in elements {
            element.write_to(self);
        }
    }
}
