//! What a message is made of, and messages that are nothing but their fields.

use std::borrow::Cow;

use super::{FieldError, Message, Reader, Writer};

/// A type that can stand in a message: a number, a text, a message, or a sequence of them.
pub trait Field<'a>: Sized {
    /// The least number of bytes that one takes, padding not counted: what bounds a count that a
    /// hostile message gives.
    const SMALLEST: usize;

    /// Reads one, called `name` in errors; an empty name is left out of their path.
    ///
    /// # Errors
    /// Where it does not fit the bytes.
    fn read_as(reader: &mut Reader<'a>, name: &str) -> Result<Self, FieldError>;

    /// Writes one.
    fn write_to(&self, writer: &mut Writer);

    /// The type as a `.msg` file has it, packages in full: `owlet_msgs/msg/Prompt[]`.
    #[cfg(test)]
    fn ros_type() -> String;
}

impl<'a, M: Message<'a>> Field<'a> for M {
    const SMALLEST: usize = <M as Message<'a>>::SMALLEST;

    fn read_as(reader: &mut Reader<'a>, name: &str) -> Result<Self, FieldError> {
        reader.nested(name)
    }

    fn write_to(&self, writer: &mut Writer) {
        self.write(writer);
    }

    #[cfg(test)]
    fn ros_type() -> String {
        M::TYPE.to_owned()
    }
}

macro_rules! number {
    ($($type:ty, $method:ident, $ros:literal;)*) => {$(
        impl<'a> Field<'a> for $type {
            const SMALLEST: usize = size_of::<$type>();

            fn read_as(reader: &mut Reader<'a>, name: &str) -> Result<Self, FieldError> {
                reader.$method(name)
            }

            fn write_to(&self, writer: &mut Writer) {
                writer.$method(*self);
            }

            #[cfg(test)]
            fn ros_type() -> String {
                $ros.to_owned()
            }
        }
    )*};
}

number! {
    bool, bool, "bool";
    u8, u8, "uint8";
    u16, u16, "uint16";
    u32, u32, "uint32";
    u64, u64, "uint64";
    i32, i32, "int32";
    i64, i64, "int64";
    f32, f32, "float32";
    f64, f64, "float64";
}

impl<'a> Field<'a> for Cow<'a, str> {
    const SMALLEST: usize = size_of::<u32>();

    fn read_as(reader: &mut Reader<'a>, name: &str) -> Result<Self, FieldError> {
        reader.string(name).map(Cow::Borrowed)
    }

    fn write_to(&self, writer: &mut Writer) {
        writer.string(self);
    }

    #[cfg(test)]
    fn ros_type() -> String {
        "string".to_owned()
    }
}

impl<'a> Field<'a> for Cow<'a, [u8]> {
    const SMALLEST: usize = size_of::<u32>();

    fn read_as(reader: &mut Reader<'a>, name: &str) -> Result<Self, FieldError> {
        reader.byte_sequence(name).map(Cow::Borrowed)
    }

    fn write_to(&self, writer: &mut Writer) {
        writer.byte_sequence(self);
    }

    #[cfg(test)]
    fn ros_type() -> String {
        "uint8[]".to_owned()
    }
}

impl<'a, F: Field<'a>> Field<'a> for Vec<F> {
    const SMALLEST: usize = size_of::<u32>();

    fn read_as(reader: &mut Reader<'a>, name: &str) -> Result<Self, FieldError> {
        reader.sequence(name)
    }

    fn write_to(&self, writer: &mut Writer) {
        writer.sequence(self);
    }

    #[cfg(test)]
    fn ros_type() -> String {
        format!("{}[]", F::ros_type())
    }
}

/// A sequence of at most one.
impl<'a, F: Field<'a>> Field<'a> for Option<F> {
    const SMALLEST: usize = size_of::<u32>();

    fn read_as(reader: &mut Reader<'a>, name: &str) -> Result<Self, FieldError> {
        let offset = reader.position();
        let mut elements: Vec<F> = reader.sequence(name)?;
        let element = elements.pop();
        if elements.is_empty() {
            return Ok(element);
        }
        Err(FieldError {
            field: name.to_owned(),
            offset,
            expected: "at most one element".to_owned(),
            found: format!("{}", elements.len() + 1),
        })
    }

    fn write_to(&self, writer: &mut Writer) {
        writer.sequence(self.as_slice());
    }

    #[cfg(test)]
    fn ros_type() -> String {
        format!("{}[<=1]", F::ros_type())
    }
}

/// A message that tells its fields, to be held against its `.msg` file.
#[cfg(test)]
pub(crate) trait Fields {
    /// Types and names, in order.
    fn fields() -> Vec<(String, &'static str)>;
}

/// The name of a field without the `r#` of names that are words of Rust.
pub(crate) const fn field_name(identifier: &'static str) -> &'static str {
    match identifier.as_bytes().first_chunk() {
        Some(b"r#") => identifier.split_at(2).1,
        _ => identifier,
    }
}

/// Defines a message as a struct whose fields are those of the `.msg` file, with the same names
/// and in the same order, and derives `Message` from them. Without fields it is read from nothing
/// and written as the one byte that ROS 2 gives to what is empty.
macro_rules! message {
    (
        $(#[$meta:meta])*
        pub struct $name:ident<$a:lifetime> = $type:literal {
            $($(#[$doc:meta])* pub $field:ident: $of:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name<$a> {
            $($(#[$doc])* pub $field: $of,)*
        }

        $crate::wire::cdr::message!(@impl [$a] [$name<$a>] $type { $($field: $of,)* });
    };
    (
        $(#[$meta:meta])*
        pub struct $name:ident = $type:literal {
            $($(#[$doc:meta])* pub $field:ident: $of:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $of,)*
        }

        $crate::wire::cdr::message!(@impl ['a] [$name] $type { $($field: $of,)* });
    };
    (@impl [$a:lifetime] [$message:ty] $type:literal {}) => {
        impl<$a> $crate::wire::cdr::Message<$a> for $message {
            const TYPE: &'static str = $type;
            const SMALLEST: usize = 0;

            fn read(
                _: &mut $crate::wire::cdr::Reader<$a>,
            ) -> Result<Self, $crate::wire::cdr::FieldError> {
                Ok(Self {})
            }

            fn write(&self, writer: &mut $crate::wire::cdr::Writer) {
                writer.u8(0);
            }
        }

        #[cfg(test)]
        impl $crate::wire::cdr::Fields for $message {
            fn fields() -> Vec<(String, &'static str)> {
                Vec::new()
            }
        }
    };
    (@impl [$a:lifetime] [$message:ty] $type:literal { $($field:ident: $of:ty,)+ }) => {
        impl<$a> $crate::wire::cdr::Message<$a> for $message {
            const TYPE: &'static str = $type;
            const SMALLEST: usize = 0 $(+ <$of as $crate::wire::cdr::Field<$a>>::SMALLEST)+;

            fn read(
                reader: &mut $crate::wire::cdr::Reader<$a>,
            ) -> Result<Self, $crate::wire::cdr::FieldError> {
                Ok(Self {
                    $($field: $crate::wire::cdr::Field::read_as(
                        reader,
                        const { $crate::wire::cdr::field_name(stringify!($field)) },
                    )?,)+
                })
            }

            fn write(&self, writer: &mut $crate::wire::cdr::Writer) {
                $($crate::wire::cdr::Field::write_to(&self.$field, writer);)+
            }
        }

        #[cfg(test)]
        impl<$a> $crate::wire::cdr::Fields for $message {
            fn fields() -> Vec<(String, &'static str)> {
                vec![$((
                    <$of as $crate::wire::cdr::Field<$a>>::ros_type(),
                    $crate::wire::cdr::field_name(stringify!($field)),
                ),)+]
            }
        }
    };
}

pub(crate) use message;
