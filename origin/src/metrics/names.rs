//! Entering metrics under their names.

use prometheus_client::{
    metrics::{
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Metric, Registry, Unit},
};

/// The registry while metrics are entered in it.
pub(super) struct Names(pub(super) Registry);

impl Names {
    pub(super) fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    pub(super) fn add_in_seconds(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.0.register_with_unit(name, help, Unit::Seconds, gauge.clone());
        gauge
    }

    pub(super) fn add_in_bytes<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register_with_unit(name, help, Unit::Bytes, metric.clone());
        metric
    }

    pub(super) fn add_seconds(&mut self, name: &str, help: &str, first: f64) -> Histogram {
        let histogram = Histogram::new(exponential_buckets(first, 2.0, 16));
        self.0.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        histogram
    }
}
