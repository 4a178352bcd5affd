//! Response flags: the short codes by which an access log says what went wrong.

/// Declares the flags: variant, code as access logs print it, meaning.
macro_rules! flags {
    ($($variant:ident $code:literal $meaning:literal;)*) => {
        /// A response flag (Envoy: `%RESPONSE_FLAGS%`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Flag {
            $(#[doc = $meaning] $variant,)*
        }

        impl Flag {
            /// All flags.
            pub const ALL: &'static [Flag] = &[$(Flag::$variant),*];

            /// The code that access logs print.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Flag::$variant => $code,)* }
            }

            /// What it means, in words.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Flag::$variant => $meaning,)* }
            }
        }
    };
}

flags! {
    DelayInjected "DI" "Delayed by fault injection.";
    FaultInjected "FI" "Aborted by fault injection.";
    NoRoute "NR" "No route matched.";
    NoCluster "NC" "The cluster does not exist.";
    NoHealthyUpstream "UH" "The cluster has no healthy endpoint.";
    RetryLimitExceeded "URX" "All retries were used up.";
    UpstreamTimeout "UT" "The request timed out.";
    UpstreamFailure "UF" "Connecting to the endpoint failed.";
    UpstreamTermination "UC" "The endpoint closed the connection.";
    UpstreamOverflow "UO" "A circuit breaker refused the request.";
    UpstreamReset "UR" "The endpoint reset the stream.";
    UpstreamProtocolError "UPE" "The endpoint's answer was malformed.";
    DownstreamTermination "DC" "The client closed the connection.";
    DownstreamProtocolError "DPE" "The request was malformed.";
    StreamIdleTimeout "SI" "The stream was idle for too long.";
    DurationTimeout "DT" "The request exceeded its longest duration.";
    Unauthorized "UAEX" "Refused by an authorization filter.";
    RateLimited "RL" "Turned away by a rate limit.";
    RateLimitServiceError "RLSE" "The rate limit service gave no answer.";
}

/// The flags of one answer in the order they were raised, which is the order access logs print.
/// Never more than eight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Flags([Option<Flag>; 8]);

impl Flags {
    /// No flags.
    pub const NONE: Flags = Flags([None; 8]);

    /// Raises a flag; raising it again changes nothing.
    pub fn raise(&mut self, flag: Flag) {
        if self.has(flag) {
            return;
        }
        if let Some(free) = self.0.iter_mut().find(|place| place.is_none()) {
            *free = Some(flag);
        }
    }

    /// Whether a flag was raised.
    #[must_use]
    pub fn has(&self, flag: Flag) -> bool {
        self.0.contains(&Some(flag))
    }

    /// Whether no flag was raised.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }

    /// The flags in order.
    pub fn iter(&self) -> impl Iterator<Item = Flag> {
        self.0.iter().copied().flatten()
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        let mut all = Flags::NONE;
        flags.into_iter().for_each(|flag| all.raise(flag));
        all
    }
}

impl std::fmt::Display for Flags {
    /// Comma-separated; `-` for none.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (index, flag) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(flag.code())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_print_in_the_order_they_were_raised() {
        let flags: Flags = [Flag::DelayInjected, Flag::NoCluster, Flag::DelayInjected].into_iter().collect();
        assert_eq!(flags.to_string(), "DI,NC");
        assert_eq!(Flags::NONE.to_string(), "-");
        assert_eq!([Flag::RetryLimitExceeded, Flag::UpstreamFailure].into_iter().collect::<Flags>().to_string(), "URX,UF");
    }

    #[test]
    fn codes_are_unique() {
        let codes: std::collections::BTreeSet<_> = Flag::ALL.iter().map(|f| f.code()).collect();
        assert_eq!(codes.len(), Flag::ALL.len());
    }
}
