import Kernel

/// Reeve's dashboard for Grafana, with the files that provision it (grafana.com/docs, "Provision Grafana").
public struct GrafanaExport: Sendable {
    public var prometheusURL: String
    public var dashboardsPath: String

    public init(prometheusURL: String, dashboardsPath: String) {
        self.prometheusURL = prometheusURL
        self.dashboardsPath = dashboardsPath
    }

    public var files: [ExportFile] {
        [
            ExportFile(path: "provisioning/dashboards/reeve.yml", text: YAMLDocument.text(provider)),
            ExportFile(path: "provisioning/datasources/reeve.yml", text: YAMLDocument.text(source)),
            ExportFile(path: "dashboards/reeve.json", text: Self.dashboard.prettyText + "\n"),
        ]
    }

    private var provider: JSONValue {
        [
            "apiVersion": 1,
            "providers": [
                [
                    "name": "reeve", "orgId": 1, "folder": "Reeve", "type": "file", "disableDeletion": false,
                    "updateIntervalSeconds": 30, "allowUiUpdates": false,
                    "options": ["path": .string(dashboardsPath)],
                ]
            ],
        ]
    }

    private var source: JSONValue {
        [
            "apiVersion": 1,
            "datasources": [
                [
                    "name": "Reeve's Prometheus", "uid": "reeve-prometheus", "type": "prometheus", "access": "proxy",
                    "url": .string(prometheusURL),
                ]
            ],
        ]
    }

    /// Without a numeric `id`: Grafana gives each its own, and refuses one that it does not know.
    static var dashboard: JSONValue {
        [
            "uid": "reeve-fleet", "title": "Reeve", "tags": ["reeve"], "schemaVersion": .int(schemaVersion),
            "editable": true, "graphTooltip": 1, "refresh": "30s", "time": ["from": "now-6h", "to": "now"],
            "timezone": "", "annotations": ["list": [alerts]], "templating": ["list": .array(variables)],
            "panels": .array(GrafanaGrid.panels(ShippedDashboard.rows)),
        ]
    }

    /// Of Grafana 10; later ones migrate it.
    private static let schemaVersion: Int64 = 38

    static let source: JSONValue = ["type": "prometheus", "uid": "${datasource}"]

    private static let alerts: JSONValue = [
        "name": "Alerts", "datasource": source, "enable": true, "iconColor": "red",
        "expr": #"ALERTS{alertstate="firing",severity=~"critical|warning"}"#, "titleFormat": "{{alertname}}",
    ]

    private static var variables: [JSONValue] {
        [
            [
                "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
                "current": JSONValue.object(JSONObject()),
            ],
            variable("agent", "Agent"), variable("model", "Model"),
        ]
    }

    private static func variable(_ name: String, _ label: String) -> JSONValue {
        let query = "label_values(agent_tokens_consumed_total, \(name))"
        return [
            "name": .string(name), "label": .string(label), "type": "query", "datasource": source,
            "query": ["query": .string(query), "refId": "variable"], "definition": .string(query), "refresh": 2,
            "multi": true, "includeAll": true, "allValue": ".*", "sort": 1,
            "current": ["text": ["All"], "value": ["$__all"]],
        ]
    }
}

/// Lays panels out on Grafana's grid of 24 columns.
private struct GrafanaGrid {
    private static let columns = 24
    private static let numberWidth = 6
    private static let numberHeight = 4
    private static let chartWidth = 8
    private static let chartHeight = 8

    private var panels: [JSONValue] = []
    private var id: Int64 = 1
    private var x = 0
    private var y = 0
    private var lineHeight = 0

    static func panels(_ rows: [DashboardRow]) -> [JSONValue] {
        var grid = GrafanaGrid()
        for row in rows { grid.add(row) }
        return grid.panels
    }

    private mutating func add(_ row: DashboardRow) {
        endLine()
        panels.append([
            "id": .int(nextID()), "type": "row", "title": .string(row.title), "collapsed": false,
            "gridPos": place(Self.columns, 1), "panels": [],
        ])
        endLine()
        for panel in row.panels.filter({ $0.form == .number }) { add(panel, Self.numberWidth, Self.numberHeight) }
        endLine()
        for panel in row.panels.filter({ $0.form != .number }) { add(panel, Self.chartWidth, Self.chartHeight) }
    }

    private mutating func add(_ panel: DashboardPanel, _ width: Int, _ height: Int) {
        if x + width > Self.columns { endLine() }
        let position = place(width, height)
        let targets = panel.queries.enumerated().map { index, query -> JSONValue in
            [
                "refId": .string(String(UnicodeScalar(UInt8(ascii: "A") + UInt8(index)))),
                "datasource": GrafanaExport.source,
                "expr": .string(query.expression.replacing("$window", with: "$__rate_interval")),
                "legendFormat": .string(query.legend), "instant": .bool(panel.form == .number),
                "range": .bool(panel.form != .number),
            ]
        }
        panels.append([
            "id": .int(nextID()), "type": panel.form == .number ? "stat" : "timeseries", "title": .string(panel.title),
            "description": .string(panel.detail), "datasource": GrafanaExport.source, "gridPos": position,
            "targets": .array(targets), "fieldConfig": panel.fieldConfig, "options": panel.options,
        ])
    }

    private mutating func place(_ width: Int, _ height: Int) -> JSONValue {
        defer {
            x += width
            lineHeight = max(lineHeight, height)
        }
        return ["h": .int(Int64(height)), "w": .int(Int64(width)), "x": .int(Int64(x)), "y": .int(Int64(y))]
    }

    private mutating func endLine() {
        y += lineHeight
        (x, lineHeight) = (0, 0)
    }

    private mutating func nextID() -> Int64 {
        defer { id += 1 }
        return id
    }
}

extension DashboardPanel {
    fileprivate var fieldConfig: JSONValue {
        let isStack = form == .stack
        let custom: JSONValue = [
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": .int(isStack ? 25 : 0), "showPoints": "never",
            "stacking": ["mode": .string(isStack ? "normal" : "none"), "group": "A"],
        ]
        var defaults = JSONObject([
            .init(name: "unit", value: .string(unit.grafana)), .init(name: "min", value: 0),
            .init(name: "custom", value: form == .number ? .object(JSONObject()) : custom),
        ])
        // What stands in place of "No data".
        if let absent { defaults.append("noValue", .string(absent)) }
        return ["defaults": .object(defaults), "overrides": []]
    }

    fileprivate var options: JSONValue {
        guard form != .number else {
            return [
                "reduceOptions": ["calcs": ["lastNotNull"], "fields": "", "values": false], "colorMode": "none",
                "graphMode": "none",
            ]
        }
        return [
            "legend": ["displayMode": "list", "placement": "bottom", "showLegend": true],
            "tooltip": ["mode": "multi", "sort": "desc"],
        ]
    }
}

extension DashboardPanel.Unit {
    /// Grafana's id of the unit.
    fileprivate var grafana: String {
        switch self {
        case .count: "short"
        case .perSecond: "reqps"
        case .seconds: "s"
        case .dollars: "currencyUSD"
        case .ratio: "percentunit"
        case .bytes: "bytes"
        case .tokens: "short"
        }
    }
}
