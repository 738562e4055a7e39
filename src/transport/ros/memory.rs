//! ROS 2 inside one process: nodes that know each other through a bus in memory. For tests of what
//! is written over [`RosLink`], with no network and no waiting for discovery.
//!
//! It keeps to what the other links promise: types and QoS have to match, a queue keeps the newest
//! of its depth, who comes late gets what is latched, and callbacks come on the bus's own thread.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::{
    Durability, Held, LinkError, Names, PublisherSeen, Qos, Reliability, RosBytes, RosEndpoint,
    RosLink, RosPublisher, RosReply, RosType,
};

type OnMessage = Arc<dyn Fn(Box<dyn RosBytes>) + Send + Sync>;
type OnRequest = Arc<dyn Fn(Vec<u8>, RosReply) + Send + Sync>;

/// A bus that nodes of one process share. It ends with the last of them.
#[derive(Clone)]
pub struct MemoryBus(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    next_id: u64,
    publishers: BTreeMap<u64, Publisher>,
    subscriptions: BTreeMap<u64, Subscription>,
    services: HashMap<String, (u64, RosType, OnRequest)>,
    /// Whose turn it is: a subscription with a message, or a request.
    turns: VecDeque<Turn>,
}

enum Turn {
    Message(u64),
    Request(OnRequest, Vec<u8>, RosReply),
}

struct Publisher {
    node: String,
    topic: String,
    ros_type: RosType,
    qos: Qos,
    /// What is said to who comes later.
    latched: VecDeque<Vec<u8>>,
}

struct Subscription {
    topic: String,
    ros_type: RosType,
    qos: Qos,
    waiting: VecDeque<Vec<u8>>,
    on_message: OnMessage,
}

impl Subscription {
    /// Whether what a publisher offers is what this one asks for.
    fn takes_from(&self, publisher: &Publisher) -> bool {
        let reliable = self.qos.reliability == Reliability::BestEffort
            || publisher.qos.reliability == Reliability::Reliable;
        let latched = self.qos.durability == Durability::Volatile
            || publisher.qos.durability == Durability::TransientLocal;
        self.topic == publisher.topic && self.ros_type == publisher.ros_type && reliable && latched
    }

    fn push(&mut self, cdr: Vec<u8>) {
        while self.waiting.len() >= self.qos.depth.max(1) {
            self.waiting.pop_front();
        }
        self.waiting.push_back(cdr);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Callbacks run outside of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bus's thread, while anybody holds the bus.
    fn deliver(bus: &Weak<Self>) {
        while let Some(bus) = bus.upgrade() {
            let (state, _) = bus
                .arrived
                .wait_timeout_while(bus.lock(), Duration::from_millis(50), |state| {
                    state.turns.is_empty()
                })
                .unwrap_or_else(PoisonError::into_inner);
            Self::take_turn(state);
        }
    }

    fn take_turn(mut state: MutexGuard<'_, State>) {
        match state.turns.pop_front() {
            Some(Turn::Message(id)) => {
                let Some(subscription) = state.subscriptions.get_mut(&id) else { return };
                let Some(cdr) = subscription.waiting.pop_front() else { return };
                let on_message = Arc::clone(&subscription.on_message);
                drop(state);
                on_message(Box::new(cdr));
            }
            Some(Turn::Request(on_request, request, reply)) => {
                drop(state);
                on_request(request, reply);
            }
            None => {}
        }
    }
}

impl MemoryBus {
    /// A bus with nobody on it.
    ///
    /// # Errors
    /// The system gave no thread.
    pub fn new() -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), arrived: Condvar::new() });
        let bus = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("memory-bus".to_owned())
            .spawn(move || Shared::deliver(&bus))?;
        Ok(Self(shared))
    }

    /// A node on it, with its remapping rules: see [`Names::new`].
    ///
    /// # Errors
    /// Every name that is none, and every rule that cannot be understood.
    pub fn link(&self, node: &str, remaps: &[String]) -> Result<Arc<MemoryLink>, Vec<String>> {
        Ok(Arc::new(MemoryLink { bus: self.clone(), names: Names::new(node, remaps)? }))
    }
}

/// One node on a [`MemoryBus`].
pub struct MemoryLink {
    bus: MemoryBus,
    names: Names,
}

impl MemoryLink {
    /// Asks a service; what it answers comes out of the receiver. `None` where nobody serves it
    /// with that type.
    #[must_use]
    pub fn call(
        &self,
        service: &str,
        ros_type: RosType,
        request: Vec<u8>,
    ) -> Option<Receiver<Vec<u8>>> {
        let (answer, answered) = mpsc::channel();
        // Whoever asked may have gone.
        let reply: RosReply = Box::new(move |cdr| drop(answer.send(cdr)));
        let mut state = self.bus.0.lock();
        let (_, served_type, on_request) = state.services.get(&self.names.resolve(service))?;
        let on_request = Arc::clone(on_request);
        if *served_type != ros_type {
            return None;
        }
        state.turns.push_back(Turn::Request(on_request, request, reply));
        self.bus.0.arrived.notify_one();
        Some(answered)
    }
}

/// Takes something off the bus, and gives it back: it is dropped when the bus is free again, since
/// it may hold more of the bus.
type Take = Box<dyn Fn(&mut State) -> Box<dyn Send> + Send + Sync>;

/// Takes something off the bus when it is dropped.
struct OffTheBus {
    bus: MemoryBus,
    take: Take,
}

impl Drop for OffTheBus {
    fn drop(&mut self) {
        let taken = (self.take)(&mut self.bus.0.lock());
        drop(taken);
    }
}

struct MemoryPublisher {
    id: u64,
    held: OffTheBus,
}

impl RosPublisher for MemoryPublisher {
    fn publish(&self, cdr: &[u8]) -> Result<(), LinkError> {
        let mut state = self.held.bus.0.lock();
        let State { publishers, subscriptions, turns, .. } = &mut *state;
        // The node may have left the bus.
        let Some(publisher) = publishers.get_mut(&self.id) else { return Ok(()) };
        if publisher.qos.durability == Durability::TransientLocal {
            while publisher.latched.len() >= publisher.qos.depth.max(1) {
                publisher.latched.pop_front();
            }
            publisher.latched.push_back(cdr.to_vec());
        }
        for (id, subscription) in subscriptions {
            if subscription.takes_from(publisher) {
                subscription.push(cdr.to_vec());
                turns.push_back(Turn::Message(*id));
            }
        }
        self.held.bus.0.arrived.notify_one();
        Ok(())
    }

    fn subscribers(&self) -> usize {
        let state = self.held.bus.0.lock();
        let Some(publisher) = state.publishers.get(&self.id) else { return 0 };
        state.subscriptions.values().filter(|known| known.takes_from(publisher)).count()
    }
}

impl RosLink for MemoryLink {
    fn node_name(&self) -> String {
        self.names.node()
    }

    fn resolve(&self, name: &str) -> String {
        self.names.resolve(name)
    }

    fn publisher(&self, endpoint: RosEndpoint<'_>) -> Result<Box<dyn RosPublisher>, LinkError> {
        let RosEndpoint { topic, ros_type, qos } = endpoint;
        let mut state = self.bus.0.lock();
        state.next_id += 1;
        let (id, node, topic) = (state.next_id, self.node_name(), self.resolve(topic));
        let publisher = Publisher { node, topic, ros_type, qos, latched: VecDeque::new() };
        state.publishers.insert(id, publisher);
        let take: Take = Box::new(move |state| Box::new(state.publishers.remove(&id)));
        Ok(Box::new(MemoryPublisher { id, held: OffTheBus { bus: self.bus.clone(), take } }))
    }

    fn subscribe(
        &self,
        endpoint: RosEndpoint<'_>,
        on_message: Box<dyn Fn(Box<dyn RosBytes>) + Send + Sync>,
    ) -> Result<Held, LinkError> {
        let RosEndpoint { topic, ros_type, qos } = endpoint;
        let mut state = self.bus.0.lock();
        state.next_id += 1;
        let id = state.next_id;
        let mut subscription = Subscription {
            topic: self.resolve(topic),
            ros_type,
            qos,
            waiting: VecDeque::new(),
            on_message: on_message.into(),
        };
        if qos.durability == Durability::TransientLocal {
            let heard = state.publishers.values().filter(|known| subscription.takes_from(known));
            let latched: Vec<_> =
                heard.flat_map(|publisher| publisher.latched.iter().cloned()).collect();
            for cdr in latched {
                subscription.push(cdr);
            }
        }
        let turns = subscription.waiting.len();
        state.turns.extend((0..turns).map(|_| Turn::Message(id)));
        state.subscriptions.insert(id, subscription);
        self.bus.0.arrived.notify_one();
        let take: Take = Box::new(move |state| Box::new(state.subscriptions.remove(&id)));
        Ok(Box::new(OffTheBus { bus: self.bus.clone(), take }))
    }

    fn serve(
        &self,
        service: &str,
        ros_type: RosType,
        on_request: Box<dyn Fn(Vec<u8>, RosReply) + Send + Sync>,
    ) -> Result<Held, LinkError> {
        let name = self.resolve(service);
        let mut state = self.bus.0.lock();
        state.next_id += 1;
        let id = state.next_id;
        state.services.insert(name.clone(), (id, ros_type, on_request.into()));
        let take: Take = Box::new(move |state| {
            // Somebody else may serve it by now.
            match state.services.get(&name).is_some_and(|served| served.0 == id) {
                true => Box::new(state.services.remove(&name)),
                false => Box::new(()),
            }
        });
        Ok(Box::new(OffTheBus { bus: self.bus.clone(), take }))
    }

    fn publishers_on(&self, topic: &str) -> Vec<PublisherSeen> {
        let topic = self.resolve(topic);
        let state = self.bus.0.lock();
        let there = state.publishers.values().filter(|publisher| publisher.topic == topic);
        let seen = |publisher: &Publisher| PublisherSeen {
            node: publisher.node.clone(),
            type_name: publisher.ros_type.name.to_owned(),
            qos: publisher.qos,
        };
        there.map(seen).collect()
    }

    /// Nothing is lost here; it is told as by a link over a network, for who plays with it.
    fn loses_large_messages(&self) -> Option<&'static str> {
        Some("large ones may be lost")
    }

    fn close(&self, _patience: Duration) {
        let node = self.node_name();
        self.bus.0.lock().publishers.retain(|_, publisher| publisher.node != node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: RosType = RosType { name: "test_msgs/msg/Text", hash: "RIHS01_0" };
    const TOO_LONG: Duration = Duration::from_secs(60);

    fn listen(
        link: &MemoryLink,
        topic: &str,
        ros_type: RosType,
        qos: Qos,
    ) -> (Held, Receiver<Vec<u8>>) {
        let (heard, hears) = mpsc::channel();
        let endpoint = RosEndpoint { topic, ros_type, qos };
        let held = link.subscribe(
            endpoint,
            Box::new(move |message| heard.send(message.bytes().into_owned()).unwrap()),
        );
        (held.unwrap(), hears)
    }

    #[test]
    fn messages_go_where_name_type_and_qos_match() {
        let bus = MemoryBus::new().unwrap();
        let talker = bus.link("cell/talker", &["chatter:=/news".to_owned()]).unwrap();
        let listener = bus.link("listener", &[]).unwrap();
        let (held, best_effort) = listen(&listener, "/news", TEXT, Qos::SENSOR_DATA);
        let (_held, reliable) = listen(&listener, "news", TEXT, Qos::RELIABLE);
        let other = RosType { name: "test_msgs/msg/Other", ..TEXT };
        let (_other, wrong_type) = listen(&listener, "news", other, Qos::RELIABLE);
        let on = |qos| RosEndpoint { topic: "chatter", ros_type: TEXT, qos };
        let out = talker.publisher(on(Qos::SENSOR_DATA)).unwrap();
        assert_eq!(out.subscribers(), 1);
        out.publish(b"one").unwrap();
        assert_eq!(best_effort.recv_timeout(TOO_LONG).unwrap(), b"one");
        let out = talker.publisher(on(Qos::RELIABLE)).unwrap();
        assert_eq!(out.subscribers(), 2);
        drop(held);
        out.publish(b"two").unwrap();
        assert_eq!(reliable.recv_timeout(TOO_LONG).unwrap(), b"two");
        assert!(best_effort.try_recv().is_err() && wrong_type.try_recv().is_err());
        let seen = listener.publishers_on("news");
        assert_eq!((seen.len(), seen[0].node.as_str()), (2, "/cell/talker"));
        talker.close(Duration::ZERO);
        assert!(listener.publishers_on("news").is_empty());
    }

    #[test]
    fn who_comes_late_gets_what_is_latched_and_no_more_than_the_depth() {
        let bus = MemoryBus::new().unwrap();
        let talker = bus.link("talker", &[]).unwrap();
        let endpoint = RosEndpoint { topic: "latched", ros_type: TEXT, qos: Qos::LATCHED };
        let out = talker.publisher(endpoint).unwrap();
        out.publish(b"old").unwrap();
        out.publish(b"new").unwrap();
        let (_held, late) = listen(&talker, "latched", TEXT, Qos::LATCHED);
        assert_eq!(late.recv_timeout(TOO_LONG).unwrap(), b"new");
        let (_held, volatile) = listen(&talker, "latched", TEXT, Qos::RELIABLE);
        out.publish(b"next").unwrap();
        assert_eq!(volatile.recv_timeout(TOO_LONG).unwrap(), b"next");
        assert_eq!(late.recv_timeout(TOO_LONG).unwrap(), b"next");
    }

    #[test]
    fn services_answer_while_they_are_held() {
        let bus = MemoryBus::new().unwrap();
        let link = bus.link("server", &[]).unwrap();
        let echo = link.serve("~/echo", TEXT, Box::new(|request, reply| reply(request))).unwrap();
        let answered = link.call("/server/echo", TEXT, b"hello".to_vec()).unwrap();
        assert_eq!(answered.recv_timeout(TOO_LONG).unwrap(), b"hello");
        let other = RosType { name: "test_msgs/srv/Other", ..TEXT };
        assert!(link.call("~/echo", other, Vec::new()).is_none());
        drop(echo);
        assert!(link.call("~/echo", TEXT, Vec::new()).is_none());
    }
}
