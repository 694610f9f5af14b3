import Testing

@testable import Telemetry

@Suite("Templates are filled in as Prometheus does it")
struct TemplateTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let template: String
        let text: String
        var testDescription: String { template }

        init(_ template: String, _ text: String) {
            self.template = template
            self.text = text
        }
    }

    private func filled(_ text: String, value: Double = 1234.5) throws -> String {
        var data = Template.Data(
            labels: LabelSet([("instance", "db-1.example:9100"), ("job", "db"), ("__name__", "up")]), value: value)
        data.externalLabels = LabelSet([("cluster", "eu")])
        data.externalURL = "https://reeve.example/ops"
        data.query = { _ in [(LabelSet([("job", "b")]), 2), (LabelSet([("job", "a")]), 21)] }
        return try Template(text).text(data)
    }

    @Test(
        "values, functions, conditions and loops",
        arguments: [
            Row("plain {braces} }}", "plain {braces} }}"),
            Row(
                "{{ $labels.job }} {{ .Labels.instance }} {{ $value }} {{ .Value }}",
                "db db-1.example:9100 1234.5 1234.5"),
            Row(
                "[{{ $labels.missing }}] {{ $externalLabels.cluster }} {{ $externalURL }}",
                "[] eu https://reeve.example/ops"),
            Row("{{ $value | humanize }}, {{ humanize1024 2048.0 }}, {{ 0.00012 | humanize }}", "1.234k, 2ki, 120u"),
            Row("{{ 0.256 | humanizePercentage }} {{ 93784 | humanizeDuration }}", "25.6% 1d 2h 3m 4s"),
            Row("{{ humanizeDuration 59.5 }} {{ humanizeDuration 0 }} {{ humanizeDuration 0.0015 }}", "59.5s 0s 1.5ms"),
            Row("{{ humanizeTimestamp 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC"),
            Row(#"{{ printf "%.2f|%5d|%-4s|%q|%v|%%" $value 7 "ab" "c" true }}"#, #"1234.50|    7|ab  |"c"|true|%"#),
            Row(#"{{ printf "%d %s" $value }}"#, "%!d(float64=1234.5) %!s(MISSING)"),
            Row("{{ if gt $value 1000.0 }}much{{ else }}little{{ end }}", "much"),
            Row("{{ if lt $value 1.0 }}a{{ else if eq $labels.job \"db\" \"x\" }}b{{ else }}c{{ end }}", "b"),
            Row("{{ with $labels.job }}<{{ . }}>{{ end }}{{ with $labels.none }}x{{ else }}y{{ end }}", "<db>y"),
            Row(#"{{ range query "up" }}{{ .Labels.job }}={{ .Value }};{{ end }}"#, "b=2;a=21;"),
            Row(#"{{ range $i, $s := query "up" | sortByLabel "job" }}{{ $i }}{{ $s.Labels.job }}{{ end }}"#, "0a1b"),
            Row(#"{{ with query "up" }}{{ . | first | value | humanize }}{{ end }}"#, "2"),
            Row(#"{{ query "up" | first | label "job" }}"#, "b"),
            Row("{{ range query \"up\" }}{{ if eq .Value 2.0 }}{{ continue }}{{ end }}{{ .Value }}{{ end }}", "21"),
            Row(#"{{ reReplaceAll "(.*):\\d+" "host $1" $labels.instance }}"#, "host db-1.example"),
            Row(#"{{ reReplaceAll "a*" "-" "baac" }} {{ reReplaceAll "^x" "" "xx" }}"#, "-b-c- x"),
            Row(#"{{ match "^db" $labels.job }} {{ "hello world" | title }} {{ toUpper "x" }}"#, "true Hello World X"),
            Row(
                "{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }} {{ stripDomain \"10.0.0.1:9\" }}",
                "db-1.example db-1:9100 10.0.0.1:9"),
            Row("a {{- /* taken away */ -}} b{{ $x := 1 }}{{ $x = 2 }}{{ $x }}", "ab2"),
            Row(#"{{ define "one" }}<{{ . }}>{{ end }}{{ template "one" $labels.job }}{{ tmpl "one" 3 }}"#, "<db><3>"),
            Row(
                "{{ and true 0 }} {{ or 0 \"\" \"z\" }} {{ not 0 }} {{ len \"abc\" }} {{ index $labels \"job\" }}",
                "0 z true 3 db"),
            Row("{{ 1e21 }} {{ 0.00001 }} {{ 100000000.0 }} {{ -0.5 }} {{ 0x1F }}", "1e+21 1e-05 1e+08 -0.5 31"),
            Row("{{ args 1 2 }} {{ (args \"a\").arg0 }} {{ pathPrefix }}", "map[arg0:1 arg1:2] a /ops"),
            Row(#"{{ graphLink "up == 0" }}"#, "/graph?g0.expr=up+%3D%3D+0&g0.tab=0"),
            Row("{{ parseDuration \"1h30m\" }} {{ print 1 2 \"a\" }} {{ urlquery \"a b&c\" }}", "5400 1 2a a+b%26c"),
        ])
    func filling(_ row: Row) throws { #expect(try filled(row.template) == row.text) }

    @Test(
        "what cannot be read is refused with its line",
        arguments: [
            Row("{{ $labels.job ", "line 1: an action without its }}"),
            Row("a\n{{ $nothing }}", "line 2: $nothing is not known"),
            Row("{{ shell \"rm\" }}", "line 1: function \"shell\" is not known"),
            Row("{{ if true }}a", "line 1: an {{if}} without its {{end}}"),
            Row("{{ end }}", "line 1: an {{end}} without its beginning"),
            Row("{{ \"a }}", "line 1: a text without its end"),
            Row("{{ break }}", "line 1: break stands in a range alone"),
            Row("{{ (1 }}", "line 1: a ( without its )"),
            Row("{{ 1 | 2 }}", "line 1: a function is expected behind |"),
        ])
    func refusals(_ row: Row) {
        let fault = #expect(throws: TemplateFault.self) { try Template(row.template) }
        #expect(fault?.description.hasPrefix(row.text) == true, "\(fault?.description ?? "")")
    }

    @Test("what cannot be filled in says why")
    func faults() {
        #expect(throws: TemplateFault.self) { try filled("{{ \"x\" | humanize }}") }
        #expect(throws: TemplateFault.self) { try filled("{{ eq 1 1.0 }}") }
        #expect(throws: TemplateFault.self) { try filled("{{ template \"none\" }}") }
        #expect(throws: TemplateFault.self) { try filled("{{ .Nothing.At.All }}") }
    }

    @Test("a template has its bounds")
    func bounds() throws {
        // A template that calls itself, one that goes on and on, and one that says too much.
        #expect(throws: TemplateFault.self) {
            try filled("{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}")
        }
        let loop =
            String(repeating: "{{ range query \"x\" }}", count: 14) + "." + String(repeating: "{{ end }}", count: 14)
        #expect(throws: TemplateFault.self) { try filled(loop) }
        let much = "{{ range query \"x\" }}\(String(repeating: "m", count: Template.outputMax / 2 + 1)){{ end }}"
        #expect(throws: TemplateFault.self) { try filled(much) }
        let deep = String(repeating: "(", count: TemplateParser.depthMax + 1)
        #expect(throws: TemplateFault.self) { try Template("{{ \(deep)1 }}") }
        #expect(throws: TemplateFault.self) {
            try Template(String(repeating: "x", count: TemplateLexer.charactersMax + 1))
        }
        #expect(throws: TemplateFault.self) { try filled("{{ printf \"%999d\" 1 }}") }
    }
}
