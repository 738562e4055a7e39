//! Floor 5: pages for people.
