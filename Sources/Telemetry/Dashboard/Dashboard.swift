/// Rows of panels, as Grafana's dashboard and the page of the overview show them.
public struct DashboardRow: Sendable {
    public let title: String
    public let panels: [DashboardPanel]
}

/// A question and the queries that answer it.
public struct DashboardPanel: Sendable {
    /// How it is drawn.
    public enum Form: String, Sendable {
        /// One number.
        case number
        /// Lines over time.
        case lines
        /// Lines over time, one on top of the other.
        case stack
    }

    /// What its numbers are.
    public enum Unit: String, Sendable {
        case count, perSecond, seconds, dollars, ratio, bytes, tokens
    }

    public struct Query: Sendable {
        /// PromQL. `$agent` and `$model` are regular expressions, `$window` is the window of rates.
        public let expression: String
        /// What its lines are called, with `{{label}}` for a label's value.
        public let legend: String
    }

    /// Unique among all panels; lower case, with hyphens.
    public let id: String
    public let title: String
    public let form: Form
    public let unit: Unit
    /// What it says, and what a bad value looks like.
    public let detail: String
    public let queries: [Query]
    /// Reeve's page that shows what is counted.
    public let page: String
    /// What is said where there is no data; `nil` for nothing in particular.
    public var absent: String?
}

extension DashboardPanel.Query {
    /// The expression with its variables filled in.
    public func filled(agent: String, model: String, window: String) -> String {
        expression.replacing("$window", with: window).replacing("$agent", with: agent).replacing("$model", with: model)
    }
}
