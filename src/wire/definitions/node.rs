//! What a ROS 2 node says of itself, and the prompts of Owlet.

use super::MessageDefinition;
use crate::wire::cdr::Message;
use crate::wire::lifecycle_msgs::TransitionEvent;
use crate::wire::owlet_msgs::PromptSet;
use crate::wire::rcl_interfaces::ParameterEvent;
use crate::wire::rosgraph_msgs::Clock;

pub(super) const CLOCK: MessageDefinition = MessageDefinition {
    message_type: Clock::TYPE,
    text: concat!("builtin_interfaces/Time clock\n", time!()),
    type_hash: "RIHS01_692f7a66e93a3c83e71765d033b60349ba68023a8c689a79e48078bcb5c58564",
};

pub(super) const PARAMETER_EVENT: MessageDefinition = MessageDefinition {
    message_type: ParameterEvent::TYPE,
    text: concat!(
        "builtin_interfaces/Time stamp\n",
        "string node\n",
        "rcl_interfaces/Parameter[] new_parameters\n",
        "rcl_interfaces/Parameter[] changed_parameters\n",
        "rcl_interfaces/Parameter[] deleted_parameters\n",
        time!(),
        part!("rcl_interfaces/Parameter", "string name\nrcl_interfaces/ParameterValue value\n"),
        part!(
            "rcl_interfaces/ParameterValue",
            "uint8 type\nbool bool_value\nint64 integer_value\nfloat64 double_value\n\
             string string_value\nbyte[] byte_array_value\nbool[] bool_array_value\n\
             int64[] integer_array_value\nfloat64[] double_array_value\n\
             string[] string_array_value\n"
        ),
    ),
    type_hash: "RIHS01_043e627780fcad87a22d225bc2a037361dba713fca6a6b9f4b869a5aa0393204",
};

pub(super) const TRANSITION_EVENT: MessageDefinition = MessageDefinition {
    message_type: TransitionEvent::TYPE,
    text: concat!(
        "uint64 timestamp\n",
        "lifecycle_msgs/Transition transition\n",
        "lifecycle_msgs/State start_state\n",
        "lifecycle_msgs/State goal_state\n",
        part!(
            "lifecycle_msgs/Transition",
            "uint8 TRANSITION_CREATE=0\nuint8 TRANSITION_CONFIGURE=1\n\
             uint8 TRANSITION_CLEANUP=2\nuint8 TRANSITION_ACTIVATE=3\n\
             uint8 TRANSITION_DEACTIVATE=4\nuint8 TRANSITION_UNCONFIGURED_SHUTDOWN=5\n\
             uint8 TRANSITION_INACTIVE_SHUTDOWN=6\nuint8 TRANSITION_ACTIVE_SHUTDOWN=7\n\
             uint8 TRANSITION_DESTROY=8\n\
             uint8 id\nstring label\n"
        ),
        part!(
            "lifecycle_msgs/State",
            "uint8 PRIMARY_STATE_UNKNOWN=0\nuint8 PRIMARY_STATE_UNCONFIGURED=1\n\
             uint8 PRIMARY_STATE_INACTIVE=2\nuint8 PRIMARY_STATE_ACTIVE=3\n\
             uint8 PRIMARY_STATE_FINALIZED=4\nuint8 TRANSITION_STATE_CONFIGURING=10\n\
             uint8 TRANSITION_STATE_CLEANINGUP=11\nuint8 TRANSITION_STATE_SHUTTINGDOWN=12\n\
             uint8 TRANSITION_STATE_ACTIVATING=13\nuint8 TRANSITION_STATE_DEACTIVATING=14\n\
             uint8 TRANSITION_STATE_ERRORPROCESSING=15\n\
             uint8 id\nstring label\n"
        ),
    ),
    type_hash: "RIHS01_d5f8873a2f0146498f812d7885c7327ce27e463d36811d8792f35ee38c0d6c38",
};

pub(super) const PROMPT_SET: MessageDefinition = MessageDefinition {
    message_type: PromptSet::TYPE,
    text: concat!(
        include_str!("../../../msg/msg/PromptSet.msg"),
        part!("owlet_msgs/Prompt", include_str!("../../../msg/msg/Prompt.msg")),
        part!("owlet_msgs/FinerLabel", include_str!("../../../msg/msg/FinerLabel.msg")),
        part!("owlet_msgs/Exemplar", include_str!("../../../msg/msg/Exemplar.msg")),
        part!(
            "sensor_msgs/CompressedImage",
            "std_msgs/Header header\nstring format\nuint8[] data\n"
        ),
        header!(),
        bounding_box_2d!(),
    ),
    type_hash: "RIHS01_add5112bf83adcbff231b7f0722580fbec0da4df579546391a6119fd44e5b81a",
};
