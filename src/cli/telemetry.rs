//! What a mesh would have written about a run: a second run of the same plan, which sees what the
//! first one saw, and writes as it goes. Memory does not grow with the number of requests.

use std::io::{self, Write};
use std::path::Path;

use meshsim::record::{Exchange, Journal, Tally};
use meshsim::report::telemetry::{Epoch, Exposition, JaegerTraces, Metrics, access_log_json, access_log_line, otlp_line};
use meshsim::sim::{self, Control, Plan};

use super::context::Context;
use super::exit::Stop;
use super::{result_file, watch};

/// A form of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Envoy's access log, text.
    AccessLog,
    /// Envoy's access log, JSON.
    AccessLogJson,
    /// Istio's standard metrics for Prometheus.
    Metrics,
    /// The same as OpenMetrics.
    OpenMetrics,
    /// Spans, a line of OTLP JSON each.
    Otlp,
    /// Traces for Jaeger's page.
    Jaeger,
}

/// What is written about a run, and from when its clock is told.
pub(crate) struct Telemetry<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) seed: u64,
    pub(crate) epoch: Epoch,
}

impl Telemetry<'_> {
    /// Writes one form to a file, or to standard output.
    pub(crate) fn write(&self, form: Form, file: Option<&Path>, cx: &mut Context) -> Result<(), Stop> {
        match file {
            Some(file) => result_file::write_as_it_comes(file, |out| self.tell(form, out)),
            None => cx.print_as_it_comes(|out| self.tell(form, out)),
        }
    }

    fn tell(&self, form: Form, out: &mut dyn Write) -> io::Result<()> {
        let directory = sim::run(self.plan, &Control::new(), &mut Tally::new()).directory;
        let (mut metrics, mut traces) = (Metrics::default(), JaegerTraces::default());
        let control = Control::new();
        let mut failed: Option<io::Error> = None;
        let mut journal = Journal::new(|exchange: &Exchange| {
            if failed.is_some() || watch::is_interrupted() {
                control.stop();
                return;
            }
            let line = match form {
                Form::AccessLog => access_log_line(exchange, &directory, self.seed, self.epoch),
                Form::AccessLogJson => access_log_json(exchange, &directory, self.seed, self.epoch),
                Form::Otlp => otlp_line(exchange, &directory, self.seed, self.epoch),
                Form::Metrics | Form::OpenMetrics => return metrics.count(exchange, &directory),
                Form::Jaeger => return traces.add(exchange, &directory, self.seed, self.epoch),
            };
            failed = out.write_all(line.as_bytes()).err();
        });
        let _ = sim::run(self.plan, &control, &mut journal);
        drop(journal);
        if let Some(error) = failed {
            return Err(error);
        }
        match form {
            Form::Metrics => out.write_all(metrics.render(Exposition::Prometheus).as_bytes()),
            Form::OpenMetrics => out.write_all(metrics.render(Exposition::OpenMetrics).as_bytes()),
            Form::Jaeger => out.write_all(traces.render().as_bytes()),
            Form::AccessLog | Form::AccessLogJson | Form::Otlp => Ok(()),
        }
    }
}
