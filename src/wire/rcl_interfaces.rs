//! `rcl_interfaces`: parameters, as messages and as the six services of every node.

mod services;

use std::borrow::Cow;

use super::cdr::message;
use super::std_msgs::Time;

pub use services::*;

/// The values of [`ParameterValue::type`](ParameterValue) and [`ParameterDescriptor`]'s `type`.
pub mod parameter_type {
    /// No value: the parameter is not set.
    pub const NOT_SET: u8 = 0;
    /// `bool_value` holds.
    pub const BOOL: u8 = 1;
    /// `integer_value` holds.
    pub const INTEGER: u8 = 2;
    /// `double_value` holds.
    pub const DOUBLE: u8 = 3;
    /// `string_value` holds.
    pub const STRING: u8 = 4;
    /// `byte_array_value` holds.
    pub const BYTE_ARRAY: u8 = 5;
    /// `bool_array_value` holds.
    pub const BOOL_ARRAY: u8 = 6;
    /// `integer_array_value` holds.
    pub const INTEGER_ARRAY: u8 = 7;
    /// `double_array_value` holds.
    pub const DOUBLE_ARRAY: u8 = 8;
    /// `string_array_value` holds.
    pub const STRING_ARRAY: u8 = 9;
}

message! {
    /// `rcl_interfaces/msg/ParameterValue`: the field that `type` names holds, the others are
    /// empty.
    pub struct ParameterValue<'a> = "rcl_interfaces/msg/ParameterValue" {
        /// One of [`parameter_type`].
        pub r#type: u8,
        /// A flag.
        pub bool_value: bool,
        /// An integer.
        pub integer_value: i64,
        /// A number.
        pub double_value: f64,
        /// A text.
        pub string_value: Cow<'a, str>,
        /// Bytes.
        pub byte_array_value: Cow<'a, [u8]>,
        /// Flags.
        pub bool_array_value: Vec<bool>,
        /// Integers.
        pub integer_array_value: Vec<i64>,
        /// Numbers.
        pub double_array_value: Vec<f64>,
        /// Texts.
        pub string_array_value: Vec<Cow<'a, str>>,
    }
}

message! {
    /// `rcl_interfaces/msg/Parameter`.
    pub struct Parameter<'a> = "rcl_interfaces/msg/Parameter" {
        /// Its full name.
        pub name: Cow<'a, str>,
        /// Its value.
        pub value: ParameterValue<'a>,
    }
}

message! {
    /// `rcl_interfaces/msg/FloatingPointRange`.
    #[derive(Copy)]
    pub struct FloatingPointRange = "rcl_interfaces/msg/FloatingPointRange" {
        /// The least value.
        pub from_value: f64,
        /// The greatest value; itself allowed.
        pub to_value: f64,
        /// Values lie this far apart, from the least one on; 0 for any value.
        pub step: f64,
    }
}

message! {
    /// `rcl_interfaces/msg/IntegerRange`.
    #[derive(Copy, Eq)]
    pub struct IntegerRange = "rcl_interfaces/msg/IntegerRange" {
        /// The least value.
        pub from_value: i64,
        /// The greatest value; itself allowed.
        pub to_value: i64,
        /// Values lie this far apart, from the least one on; 0 for any value.
        pub step: u64,
    }
}

message! {
    /// `rcl_interfaces/msg/ParameterDescriptor`.
    pub struct ParameterDescriptor<'a> = "rcl_interfaces/msg/ParameterDescriptor" {
        /// The parameter's full name.
        pub name: Cow<'a, str>,
        /// One of [`parameter_type`].
        pub r#type: u8,
        /// What it is for.
        pub description: Cow<'a, str>,
        /// What holds beyond the ranges, in words.
        pub additional_constraints: Cow<'a, str>,
        /// Whether it cannot be set while the node runs.
        pub read_only: bool,
        /// Whether a value of another type may be set.
        pub dynamic_typing: bool,
        /// For numbers.
        pub floating_point_range: Option<FloatingPointRange>,
        /// For integers.
        pub integer_range: Option<IntegerRange>,
    }
}

message! {
    /// `rcl_interfaces/msg/SetParametersResult`.
    #[derive(Eq)]
    pub struct SetParametersResult<'a> = "rcl_interfaces/msg/SetParametersResult" {
        /// Whether the value is in use now.
        pub successful: bool,
        /// Why not.
        pub reason: Cow<'a, str>,
    }
}

message! {
    /// `rcl_interfaces/msg/ListParametersResult`.
    #[derive(Eq)]
    pub struct ListParametersResult<'a> = "rcl_interfaces/msg/ListParametersResult" {
        /// Full names of parameters.
        pub names: Vec<Cow<'a, str>>,
        /// What stands before the last dot of them, each once.
        pub prefixes: Vec<Cow<'a, str>>,
    }
}

message! {
    /// `rcl_interfaces/msg/ParameterEvent`: what stands on `/parameter_events`.
    pub struct ParameterEvent<'a> = "rcl_interfaces/msg/ParameterEvent" {
        /// When it was so.
        pub stamp: Time,
        /// Fully qualified name of the node.
        pub node: Cow<'a, str>,
        /// Those that were not there before.
        pub new_parameters: Vec<Parameter<'a>>,
        /// Those with another value now.
        pub changed_parameters: Vec<Parameter<'a>>,
        /// Those that are gone.
        pub deleted_parameters: Vec<Parameter<'a>>,
    }
}
