//! The closed set of things that can happen, and their packed form.

macro_rules! events {
    ($($(#[doc = $doc:literal])* $name:ident = $tag:literal;)*) => {
        /// Something that is due. The number names the frame it is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Event {
            $($(#[doc = $doc])* $name(u32),)*
        }

        impl Event {
            /// The packed form: five bits of kind, 27 bits of number.
            pub(super) fn pack(self) -> u32 {
                match self {
                    $(Event::$name(index) => {
                        debug_assert!(index <= INDEX_MAX);
                        ($tag << INDEX_BITS) | index
                    })*
                }
            }

            pub(super) fn unpack(packed: u32) -> Event {
                let index = packed & INDEX_MAX;
                match packed >> INDEX_BITS {
                    $($tag => Event::$name(index),)*
                    _ => unreachable!("only packed events are unpacked"),
                }
            }

            #[cfg(test)]
            const EACH: &'static [Event] = &[$(Event::$name(0), Event::$name(INDEX_MAX)),*];
        }
    };
}

const INDEX_BITS: u32 = 27;

/// The largest frame number that an event can carry; the engine refuses to hold more in flight.
pub(super) const INDEX_MAX: u32 = (1 << INDEX_BITS) - 1;

events! {
    /// The next open-loop request of a source is due.
    Arrival = 0;
    /// A closed-loop user is ready to send.
    UserReady = 1;
    /// A request reaches its pod.
    Delivery = 2;
    /// A pod has done the work before its first call.
    WorkDone = 3;
    /// A pod's extra time before the answer is over.
    ReplyReady = 4;
    /// An answer, or the news that there is none, reaches the caller's proxy.
    Answer = 5;
    /// A fault delay is over.
    FaultOver = 6;
    /// A retry's back-off is over.
    BackOffOver = 7;
    /// The caller's own timeout.
    CallerTimeout = 8;
    /// The route's timeout.
    RouteTimeout = 9;
    /// The timeout of one try.
    TryTimeout = 10;
    /// The mesh changes.
    StageBegins = 11;
    /// A proxy gets its new configuration.
    ConfigArrives = 12;
    /// A request of a list is due.
    Listed = 13;
    /// A request's body is complete.
    BodyComplete = 14;
    /// An attempt to connect is refused.
    ConnectRefused = 15;
    /// An attempt to connect has taken too long.
    ConnectTimeout = 16;
    /// A server goes down.
    Down = 17;
    /// An attempt to connect has succeeded.
    Connected = 18;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_loses_nothing() {
        for event in Event::EACH {
            assert_eq!(Event::unpack(event.pack()), *event);
        }
    }
}
