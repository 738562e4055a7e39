//! Services. r2r has them by their Rust types only, so that each type is named here; requests and
//! answers pass as they are serialized.

use futures_util::{FutureExt, StreamExt};
use r2r::{Node, QosProfile, ServiceRequest, WrappedServiceTypeSupport, WrappedTypesupport};

use super::super::ros::RosReply;
use super::spin::Read;
use super::words;

type OnRequest = Box<dyn Fn(Vec<u8>, RosReply) + Send + Sync>;
type Open = fn(&mut Node, &str, OnRequest) -> r2r::Result<Read>;

macro_rules! services {
    ($($(#[$condition:meta])? $package:ident::$service:ident,)+) => {
        &[$(
            $(#[$condition])?
            (
                concat!(stringify!($package), "/srv/", stringify!($service)),
                open::<r2r::$package::srv::$service::Service> as Open,
            ),
        )+]
    };
}

/// What a node of Owlet serves. Where there is no ROS, r2r knows the packages of ROS only.
const SERVICES: &[(&str, Open)] = services![
    lifecycle_msgs::ChangeState,
    lifecycle_msgs::GetAvailableStates,
    lifecycle_msgs::GetAvailableTransitions,
    lifecycle_msgs::GetState,
    #[cfg(not(feature = "ros2-check"))]
    owlet_msgs::Detect,
    #[cfg(not(feature = "ros2-check"))]
    owlet_msgs::GetPrompts,
    #[cfg(not(feature = "ros2-check"))]
    owlet_msgs::SetPrompts,
    #[cfg(not(feature = "ros2-check"))]
    owlet_msgs::Teach,
    rcl_interfaces::DescribeParameters,
    rcl_interfaces::GetParameterTypes,
    rcl_interfaces::GetParameters,
    rcl_interfaces::ListParameters,
    rcl_interfaces::SetParameters,
    rcl_interfaces::SetParametersAtomically,
];

/// How services of a type are opened.
///
/// # Errors
/// A type that this is not built for, in words.
pub(super) fn opener(type_name: &str) -> Result<Open, String> {
    let known = SERVICES.iter().find(|(name, _)| *name == type_name);
    known.map(|(_, open)| *open).ok_or_else(|| {
        let names: Vec<_> = SERVICES.iter().map(|(name, _)| *name).collect();
        format!("services of this type are not built in, only {}", names.join(", "))
    })
}

fn open<T: WrappedServiceTypeSupport + 'static>(
    node: &mut Node,
    service: &str,
    on_request: OnRequest,
) -> r2r::Result<Read> {
    let mut requests = node.create_service::<T>(service, QosProfile::services_default())?;
    let name = service.to_owned();
    Ok(Box::new(move || {
        let request = requests.next().now_or_never().flatten()?;
        match request.message.to_serialized_bytes() {
            Ok(cdr) => on_request(cdr, reply_to(request, name.clone())),
            Err(error) => tracing::warn!("a request to {name}: {}", words::reason(&error)),
        }
        Some(())
    }))
}

fn reply_to<T>(request: ServiceRequest<T>, service: String) -> RosReply
where
    T: WrappedServiceTypeSupport + 'static,
{
    Box::new(move |cdr| {
        let sent =
            T::Response::from_serialized_bytes(&cdr).and_then(|response| request.respond(response));
        if let Err(error) = sent {
            tracing::warn!("an answer of {service} was not sent: {}", words::reason(&error));
        }
    })
}
