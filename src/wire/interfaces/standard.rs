//! Fields of standard interfaces, the same from humble to rolling, that no definition holds.

/// Stands in the event of every service.
pub(super) const SERVICE_EVENT_INFO: &str = "service_msgs/msg/ServiceEventInfo";

pub(super) const INTERFACES: [(&str, &str); 17] = [
    (
        SERVICE_EVENT_INFO,
        "uint8 REQUEST_SENT=0\nuint8 event_type\nbuiltin_interfaces/Time stamp\n\
         char[16] client_gid\nint64 sequence_number",
    ),
    (
        "lifecycle_msgs/msg/TransitionDescription",
        "Transition transition\nState start_state\nState goal_state",
    ),
    ("lifecycle_msgs/srv/ChangeState", "Transition transition\n---\nbool success"),
    ("lifecycle_msgs/srv/GetState", "---\nState current_state"),
    ("lifecycle_msgs/srv/GetAvailableStates", "---\nState[] available_states"),
    (
        "lifecycle_msgs/srv/GetAvailableTransitions",
        "---\nTransitionDescription[] available_transitions",
    ),
    ("rcl_interfaces/msg/FloatingPointRange", "float64 from_value\nfloat64 to_value\nfloat64 step"),
    ("rcl_interfaces/msg/IntegerRange", "int64 from_value\nint64 to_value\nuint64 step"),
    (
        "rcl_interfaces/msg/ParameterDescriptor",
        "string name\nuint8 type\nstring description\nstring additional_constraints\n\
         bool read_only false\nbool dynamic_typing false\n\
         FloatingPointRange[<=1] floating_point_range\nIntegerRange[<=1] integer_range",
    ),
    ("rcl_interfaces/msg/SetParametersResult", "bool successful\nstring reason"),
    ("rcl_interfaces/msg/ListParametersResult", "string[] names\nstring[] prefixes"),
    (
        "rcl_interfaces/srv/DescribeParameters",
        "string[] names\n---\nParameterDescriptor[] descriptors",
    ),
    ("rcl_interfaces/srv/GetParameterTypes", "string[] names\n---\nuint8[] types"),
    ("rcl_interfaces/srv/GetParameters", "string[] names\n---\nParameterValue[] values"),
    (
        "rcl_interfaces/srv/ListParameters",
        "uint64 DEPTH_RECURSIVE=0\nstring[] prefixes\nuint64 depth\n---\n\
         ListParametersResult result",
    ),
    (
        "rcl_interfaces/srv/SetParameters",
        "Parameter[] parameters\n---\nSetParametersResult[] results",
    ),
    (
        "rcl_interfaces/srv/SetParametersAtomically",
        "Parameter[] parameters\n---\nSetParametersResult result",
    ),
];
