//! The services of parameters, and `/parameter_events`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::{ManagedNode, Together};
use crate::config::{Changes, Config, PARAMETERS, Parameter, ParameterKind, ParameterValue};
use crate::transport::live::NodeClock;
use crate::transport::ros::{
    Answer, Durability, Held, LinkError, Out, Qos, Reliability, RosLink, serve,
};
use crate::wire::rcl_interfaces::{
    self as msgs, DEPTH_RECURSIVE, DescribeParameters, DescribeParametersRequest,
    DescribeParametersResponse, FloatingPointRange, GetParameterTypes, GetParameterTypesRequest,
    GetParameterTypesResponse, GetParameters, GetParametersRequest, GetParametersResponse,
    IntegerRange, ListParameters, ListParametersRequest, ListParametersResponse,
    ListParametersResult, ParameterDescriptor, ParameterEvent, SetParameters,
    SetParametersAtomically, SetParametersAtomicallyRequest, SetParametersAtomicallyResponse,
    SetParametersRequest, SetParametersResponse, SetParametersResult, parameter_type,
};
use crate::wire::{DecodeError, Message};

/// As rcl publishes them (`rmw_qos_profile_parameter_events`).
const EVENTS: Qos =
    Qos { reliability: Reliability::Reliable, durability: Durability::Volatile, depth: 1000 };

pub(super) fn serve_parameters(
    link: &dyn RosLink,
    node: &Arc<ManagedNode>,
) -> Result<Vec<Held>, LinkError> {
    tell_events(link, node)?;
    let list = serve::<ListParameters>(link, "~/list_parameters", |request, answer| {
        let result = match ListParametersRequest::decode(&request) {
            Ok(request) => list(&request),
            Err(error) => unreadable(&error),
        };
        answer.send(&ListParametersResponse { result });
    })?;
    let for_get = Arc::clone(node);
    let get = serve::<GetParameters>(link, "~/get_parameters", move |request, answer| {
        let config = for_get.config();
        let values = match GetParametersRequest::decode(&request) {
            Ok(request) => request.names.iter().map(|name| value_of(name, &config)).collect(),
            Err(error) => unreadable(&error),
        };
        answer.send(&GetParametersResponse { values });
    })?;
    let for_types = Arc::clone(node);
    let types =
        serve::<GetParameterTypes>(link, "~/get_parameter_types", move |request, answer| {
            let config = for_types.config();
            let types: Vec<u8> = match GetParameterTypesRequest::decode(&request) {
                Ok(request) => {
                    request.names.iter().map(|name| value_of(name, &config).r#type).collect()
                }
                Err(error) => unreadable(&error),
            };
            answer.send(&GetParameterTypesResponse { types: types.into() });
        })?;
    let for_describe = Arc::clone(node);
    let describe =
        serve::<DescribeParameters>(link, "~/describe_parameters", move |request, answer| {
            let config = for_describe.config();
            let request = DescribeParametersRequest::decode(&request);
            let descriptors = match &request {
                Ok(request) => request.names.iter().map(|name| describe(name, &config)).collect(),
                Err(error) => unreadable(error),
            };
            answer.send(&DescribeParametersResponse { descriptors });
        })?;
    let for_set = Arc::clone(node);
    let set = serve::<SetParameters>(link, "~/set_parameters", move |request, answer| {
        set_each(&for_set, &request, answer);
    })?;
    let for_all = Arc::clone(node);
    let set_all = serve::<SetParametersAtomically>(
        link,
        "~/set_parameters_atomically",
        move |request, answer| set_atomically(&for_all, &request, answer),
    )?;
    Ok(vec![list, get, types, describe, set, set_all])
}

/// The answer to a request that cannot be read, for which these services have no word.
fn unreadable<T: Default>(error: &DecodeError) -> T {
    tracing::warn!("{error}");
    T::default()
}

/// Tells that all parameters are there, and from then on which have changed.
fn tell_events(link: &dyn RosLink, node: &Arc<ManagedNode>) -> Result<(), LinkError> {
    let out = Out::open::<ParameterEvent<'_>>(link, "/parameter_events", EVENTS)?;
    let name = link.node_name();
    let all: Vec<_> = PARAMETERS.iter().collect();
    let mut first = event(&name, node.clock(), &all, &node.config());
    first.new_parameters = std::mem::take(&mut first.changed_parameters);
    out.send(&first);
    let clock = Arc::clone(node.clock());
    node.on_parameters(Box::new(move |changed, config| {
        out.send(&event(&name, &clock, changed, config));
    }));
    Ok(())
}

fn event<'a>(
    node: &'a str,
    clock: &NodeClock,
    changed: &[&'static Parameter],
    config: &Config,
) -> ParameterEvent<'a> {
    let parameter = |parameter: &&'static Parameter| msgs::Parameter {
        name: parameter.name.into(),
        value: to_message(parameter.told(config)),
    };
    ParameterEvent {
        stamp: clock.now().into(),
        node: node.into(),
        new_parameters: Vec::new(),
        changed_parameters: changed.iter().map(parameter).collect(),
        deleted_parameters: Vec::new(),
    }
}

/// Names below prefixes, as rclcpp counts: a prefix is a whole name or what stands before a dot,
/// and depth is the number of names between dots behind it.
fn list(request: &ListParametersRequest<'_>) -> ListParametersResult<'static> {
    let is_shallow = |rest: &str| {
        request.depth == DEPTH_RECURSIVE || (rest.matches('.').count() as u64) < request.depth
    };
    let is_below = |name: &str, prefix: &str| {
        name == prefix
            || name
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(is_shallow)
    };
    let is_listed = |name: &&str| match request.prefixes.as_slice() {
        [] => is_shallow(name),
        prefixes => prefixes.iter().any(|prefix| is_below(name, prefix)),
    };
    let names: Vec<_> =
        PARAMETERS.iter().map(|parameter| parameter.name).filter(is_listed).collect();
    let prefixes: BTreeSet<_> =
        names.iter().filter_map(|name| Some(name.rsplit_once('.')?.0)).collect();
    ListParametersResult {
        names: names.into_iter().map(Into::into).collect(),
        prefixes: prefixes.into_iter().map(Into::into).collect(),
    }
}

/// Its value; one that there is not is not set.
fn value_of(name: &str, config: &Config) -> msgs::ParameterValue<'static> {
    Parameter::find(name)
        .map_or_else(Default::default, |parameter| to_message(parameter.value(config)))
}

fn describe<'a>(name: &'a str, config: &Config) -> ParameterDescriptor<'a> {
    let Some(parameter) = Parameter::find(name) else {
        return ParameterDescriptor { name: name.into(), ..ParameterDescriptor::default() };
    };
    let mut descriptor = ParameterDescriptor {
        name: parameter.name.into(),
        r#type: to_message(parameter.value(config)).r#type,
        description: parameter.description.into(),
        additional_constraints: format!(
            "{}; changes take effect {}",
            parameter.range(),
            parameter.changes_text()
        )
        .into(),
        read_only: parameter.changes == Changes::AtStart,
        dynamic_typing: false,
        floating_point_range: None,
        integer_range: None,
    };
    match parameter.kind {
        ParameterKind::Integer { min, max, .. } => {
            let range = IntegerRange { from_value: min, to_value: max, step: 0 };
            descriptor.integer_range = Some(range);
        }
        ParameterKind::Number { min, max, .. } => {
            let (from_value, to_value) = (min.into(), max.into());
            let range = FloatingPointRange { from_value, to_value, step: 0.0 };
            descriptor.floating_point_range = Some(range);
        }
        // A list of texts, or one text.
        ParameterKind::Prompts { .. } => descriptor.dynamic_typing = true,
        ParameterKind::Text { .. }
        | ParameterKind::Flag { .. }
        | ParameterKind::TextList { .. } => {}
    }
    descriptor
}

fn set_each(node: &ManagedNode, request: &[u8], answer: Answer<SetParameters>) {
    let request = match SetParametersRequest::decode(request) {
        Ok(request) => request,
        Err(error) => {
            let results = unreadable(&error);
            return answer.send(&SetParametersResponse { results });
        }
    };
    node.set_parameters(
        wanted(&request.parameters),
        Together::Each,
        Box::new(move |results| {
            let results = results.into_iter().map(result).collect();
            answer.send(&SetParametersResponse { results });
        }),
    );
}

fn set_atomically(node: &ManagedNode, request: &[u8], answer: Answer<SetParametersAtomically>) {
    let request = match SetParametersAtomicallyRequest::decode(request) {
        Ok(request) => request,
        Err(error) => {
            let result = result(Err(error.to_string()));
            return answer.send(&SetParametersAtomicallyResponse { result });
        }
    };
    node.set_parameters(
        wanted(&request.parameters),
        Together::AllOrNone,
        Box::new(move |results| {
            // Where one is refused all are, and each says why.
            let refused = results.into_iter().find(Result::is_err).unwrap_or(Ok(()));
            let result = result(refused);
            answer.send(&SetParametersAtomicallyResponse { result });
        }),
    );
}

fn wanted(parameters: &[msgs::Parameter<'_>]) -> Vec<(String, ParameterValue)> {
    let wanted = parameters.iter();
    wanted.map(|parameter| (parameter.name.to_string(), from_message(&parameter.value))).collect()
}

fn result(became: Result<(), String>) -> SetParametersResult<'static> {
    SetParametersResult {
        successful: became.is_ok(),
        reason: became.err().unwrap_or_default().into(),
    }
}

fn to_message(value: ParameterValue) -> msgs::ParameterValue<'static> {
    let none = msgs::ParameterValue::default();
    match value {
        ParameterValue::Flag(bool_value) => {
            msgs::ParameterValue { r#type: parameter_type::BOOL, bool_value, ..none }
        }
        ParameterValue::Integer(integer_value) => {
            msgs::ParameterValue { r#type: parameter_type::INTEGER, integer_value, ..none }
        }
        ParameterValue::Number(double_value) => {
            msgs::ParameterValue { r#type: parameter_type::DOUBLE, double_value, ..none }
        }
        ParameterValue::Text(text) => msgs::ParameterValue {
            r#type: parameter_type::STRING,
            string_value: text.into(),
            ..none
        },
        ParameterValue::TextList(texts) => msgs::ParameterValue {
            r#type: parameter_type::STRING_ARRAY,
            string_array_value: texts.into_iter().map(Into::into).collect(),
            ..none
        },
        ParameterValue::Other(_) => none,
    }
}

pub(super) fn from_message(value: &msgs::ParameterValue<'_>) -> ParameterValue {
    let list = |count: usize, of: &str| match count {
        // `ros2 param set` cannot tell what an empty list is a list of.
        0 => ParameterValue::TextList(Vec::new()),
        count => ParameterValue::Other(format!("a list of {count} {of}")),
    };
    match value.r#type {
        parameter_type::NOT_SET => {
            ParameterValue::Other("no value (parameters cannot be deleted)".to_owned())
        }
        parameter_type::BOOL => ParameterValue::Flag(value.bool_value),
        parameter_type::INTEGER => ParameterValue::Integer(value.integer_value),
        parameter_type::DOUBLE => ParameterValue::Number(value.double_value),
        parameter_type::STRING => ParameterValue::Text(value.string_value.to_string()),
        parameter_type::BYTE_ARRAY => list(value.byte_array_value.len(), "bytes"),
        parameter_type::BOOL_ARRAY => list(value.bool_array_value.len(), "flags"),
        parameter_type::INTEGER_ARRAY => list(value.integer_array_value.len(), "integers"),
        parameter_type::DOUBLE_ARRAY => list(value.double_array_value.len(), "numbers"),
        parameter_type::STRING_ARRAY => {
            let texts = value.string_array_value.iter().map(ToString::to_string);
            ParameterValue::TextList(texts.collect())
        }
        unknown => ParameterValue::Other(format!("a value of the unknown type {unknown}")),
    }
}
