//! The table itself, a file for each subject.

mod bank;
mod detection;
mod images;
mod models;
mod network;
mod node;
mod ros;
mod space;

use super::Parameter;

/// In the order of [`PARAMETERS`].
const SUBJECTS: [&[Parameter]; 8] = [
    models::MODELS,
    bank::BANK,
    detection::DETECTION,
    space::SPACE,
    images::IMAGES,
    node::NODE,
    ros::ROS,
    network::NETWORK,
];

const COUNT: usize = {
    let mut count = 0;
    let mut subject = 0;
    while subject < SUBJECTS.len() {
        count += SUBJECTS[subject].len();
        subject += 1;
    }
    count
};

/// All parameters, in the order in which files and tables show them.
pub static PARAMETERS: &[Parameter] = &{
    let mut all = [SUBJECTS[0][0]; COUNT];
    let (mut subject, mut count) = (0, 0);
    while subject < SUBJECTS.len() {
        let mut index = 0;
        while index < SUBJECTS[subject].len() {
            all[count] = SUBJECTS[subject][index];
            index += 1;
            count += 1;
        }
        subject += 1;
    }
    all
};
