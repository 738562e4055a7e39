//! The services of parameters.

use std::borrow::Cow;

use super::{
    ListParametersResult, Parameter, ParameterDescriptor, ParameterValue, SetParametersResult,
};
use crate::wire::cdr::{Service, message};

/// [`ListParametersRequest::depth`] for names of any depth.
pub const DEPTH_RECURSIVE: u64 = 0;

message! {
    /// Asks for values.
    #[derive(Eq)]
    pub struct GetParametersRequest<'a> = "rcl_interfaces/srv/GetParameters_Request" {
        /// Full names of parameters.
        pub names: Vec<Cow<'a, str>>,
    }
}

message! {
    /// The values.
    pub struct GetParametersResponse<'a> = "rcl_interfaces/srv/GetParameters_Response" {
        /// In the order of the names; not set where there is no such parameter.
        pub values: Vec<ParameterValue<'a>>,
    }
}

/// `rcl_interfaces/srv/GetParameters`, served as `~/get_parameters`.
#[derive(Clone, Copy, Debug)]
pub struct GetParameters;

impl Service for GetParameters {
    const TYPE: &'static str = "rcl_interfaces/srv/GetParameters";
    const TYPE_HASH: &'static str =
        "RIHS01_bf9803d5c74cf989a5de3e0c2e99444599a627c7ff75f97b8c05b01003675cbc";
    type Request<'a> = GetParametersRequest<'a>;
    type Response<'a> = GetParametersResponse<'a>;
}

message! {
    /// Asks for types.
    #[derive(Eq)]
    pub struct GetParameterTypesRequest<'a> = "rcl_interfaces/srv/GetParameterTypes_Request" {
        /// Full names of parameters.
        pub names: Vec<Cow<'a, str>>,
    }
}

message! {
    /// The types.
    #[derive(Eq)]
    pub struct GetParameterTypesResponse<'a> = "rcl_interfaces/srv/GetParameterTypes_Response" {
        /// In the order of the names, each one of [`parameter_type`](super::parameter_type).
        pub types: Cow<'a, [u8]>,
    }
}

/// `rcl_interfaces/srv/GetParameterTypes`, served as `~/get_parameter_types`.
#[derive(Clone, Copy, Debug)]
pub struct GetParameterTypes;

impl Service for GetParameterTypes {
    const TYPE: &'static str = "rcl_interfaces/srv/GetParameterTypes";
    const TYPE_HASH: &'static str =
        "RIHS01_da199c878688b3e530bdfe3ca8f74cb9fa0c303101e980a9e8f260e25e1c80ca";
    type Request<'a> = GetParameterTypesRequest<'a>;
    type Response<'a> = GetParameterTypesResponse<'a>;
}

message! {
    /// Asks to set parameters, each for itself.
    pub struct SetParametersRequest<'a> = "rcl_interfaces/srv/SetParameters_Request" {
        /// Names with the new values.
        pub parameters: Vec<Parameter<'a>>,
    }
}

message! {
    /// How it went.
    #[derive(Eq)]
    pub struct SetParametersResponse<'a> = "rcl_interfaces/srv/SetParameters_Response" {
        /// In the order of the parameters.
        pub results: Vec<SetParametersResult<'a>>,
    }
}

/// `rcl_interfaces/srv/SetParameters`, served as `~/set_parameters`.
#[derive(Clone, Copy, Debug)]
pub struct SetParameters;

impl Service for SetParameters {
    const TYPE: &'static str = "rcl_interfaces/srv/SetParameters";
    const TYPE_HASH: &'static str =
        "RIHS01_56eed9a67e169f9cb6c1f987bc88f868c14a8fc9f743a263bc734c154015d7e0";
    type Request<'a> = SetParametersRequest<'a>;
    type Response<'a> = SetParametersResponse<'a>;
}

message! {
    /// Asks to set parameters, all or none.
    pub struct SetParametersAtomicallyRequest<'a>
        = "rcl_interfaces/srv/SetParametersAtomically_Request"
    {
        /// Names with the new values.
        pub parameters: Vec<Parameter<'a>>,
    }
}

message! {
    /// How it went.
    #[derive(Eq)]
    pub struct SetParametersAtomicallyResponse<'a>
        = "rcl_interfaces/srv/SetParametersAtomically_Response"
    {
        /// For all of them.
        pub result: SetParametersResult<'a>,
    }
}

/// `rcl_interfaces/srv/SetParametersAtomically`, served as `~/set_parameters_atomically`.
#[derive(Clone, Copy, Debug)]
pub struct SetParametersAtomically;

impl Service for SetParametersAtomically {
    const TYPE: &'static str = "rcl_interfaces/srv/SetParametersAtomically";
    const TYPE_HASH: &'static str =
        "RIHS01_0e192ef259c07fc3c07a13191d27002222e65e00ccec653ca05e856f79285fcd";
    type Request<'a> = SetParametersAtomicallyRequest<'a>;
    type Response<'a> = SetParametersAtomicallyResponse<'a>;
}

message! {
    /// Asks which parameters there are.
    #[derive(Eq)]
    pub struct ListParametersRequest<'a> = "rcl_interfaces/srv/ListParameters_Request" {
        /// Only those below these; none for all.
        pub prefixes: Vec<Cow<'a, str>>,
        /// How many dots deep below a prefix, or [`DEPTH_RECURSIVE`].
        pub depth: u64,
    }
}

message! {
    /// The parameters.
    #[derive(Eq)]
    pub struct ListParametersResponse<'a> = "rcl_interfaces/srv/ListParameters_Response" {
        /// Their names.
        pub result: ListParametersResult<'a>,
    }
}

/// `rcl_interfaces/srv/ListParameters`, served as `~/list_parameters`.
#[derive(Clone, Copy, Debug)]
pub struct ListParameters;

impl Service for ListParameters {
    const TYPE: &'static str = "rcl_interfaces/srv/ListParameters";
    const TYPE_HASH: &'static str =
        "RIHS01_3e6062bfbb27bfb8730d4cef2558221f51a11646d78e7bb30a1e83afac3aad9d";
    type Request<'a> = ListParametersRequest<'a>;
    type Response<'a> = ListParametersResponse<'a>;
}

message! {
    /// Asks what parameters are for.
    #[derive(Eq)]
    pub struct DescribeParametersRequest<'a> = "rcl_interfaces/srv/DescribeParameters_Request" {
        /// Full names of parameters.
        pub names: Vec<Cow<'a, str>>,
    }
}

message! {
    /// What they are for.
    pub struct DescribeParametersResponse<'a> = "rcl_interfaces/srv/DescribeParameters_Response" {
        /// In the order of the names.
        pub descriptors: Vec<ParameterDescriptor<'a>>,
    }
}

/// `rcl_interfaces/srv/DescribeParameters`, served as `~/describe_parameters`.
#[derive(Clone, Copy, Debug)]
pub struct DescribeParameters;

impl Service for DescribeParameters {
    const TYPE: &'static str = "rcl_interfaces/srv/DescribeParameters";
    const TYPE_HASH: &'static str =
        "RIHS01_845b484d71eb0673dae682f2e3ba3c4851a65a3dcfb97bddd82c5b57e91e4cff";
    type Request<'a> = DescribeParametersRequest<'a>;
    type Response<'a> = DescribeParametersResponse<'a>;
}
