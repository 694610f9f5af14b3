extension ShellTemplates {
    /// The drawings of the page, once a page; the rest refers to them.
    static let symbols = PageTemplate(
        "symbols",
        #"""
        <svg class="hide" aria-hidden="true">
        <symbol id="i-mark" viewBox="0 0 32 32"><rect class="mark-field" width="32" height="32" rx="8"/><path
          class="mark-bars" d="M9 8.5v15M14 8.5v15M19 8.5v15M24 8.5v15" fill="none"/><path class="mark-stroke"
            d="M5.5 21.5 27 10.5" fill="none"/></symbol>
        <symbol id="i-fleet" viewBox="0 0 24 24"><path
          d="M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z"/></symbol>
        <symbol id="i-agents" viewBox="0 0 24 24"><rect x="5" y="8" width="14" height="11" rx="3"/><path
          d="M12 8V4M9 13v1.5M15 13v1.5M2.5 12v4M21.5 12v4"/></symbol>
        <symbol id="i-tasks" viewBox="0 0 24 24"><path
          d="m4 6 1.5 1.5L8 5M4 12l1.5 1.5L8 11M4 18l1.5 1.5L8 17M12 6h8M12 12h8M12 18h8"/></symbol>
        <symbol id="i-queues" viewBox="0 0 24 24"><path d="m12 3 9 5-9 5-9-5zM3 12.5l9 5 9-5M3 17l9 5 9-5"/></symbol>
        <symbol id="i-reviews" viewBox="0 0 24 24"><path
          d="M14 3H6a1 1 0 0 0-1 1v16a1 1 0 0 0 1 1h12a1 1 0 0 0 1-1V8zM14 3v5h5M9 14l2.2 2.2L15.5 12"/></symbol>
        <symbol id="i-events" viewBox="0 0 24 24"><path d="M3 12h4l3-8 4 16 3-8h4"/></symbol>
        <symbol id="i-audit" viewBox="0 0 24 24"><path
          d="M12 3 5 6v5c0 4.6 2.9 8 7 10 4.1-2 7-5.4 7-10V6zM9 12l2.2 2.2L15 10.5"/></symbol>
        <symbol id="i-schedules" viewBox="0 0 24 24"><circle cx="12" cy="12" r="8.5"/><path d="M12 7v5l3.5 2"/></symbol>
        <symbol id="i-calls" viewBox="0 0 24 24"><path
          d="M5 5h14a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-6l-4.5 4v-4H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1zM8 9h8M8 12h5"/>
        </symbol>
        <symbol id="i-models" viewBox="0 0 24 24"><rect x="7" y="7" width="10" height="10" rx="2"/><path
          d="M10 3.5V7M14 3.5V7M10 17v3.5M14 17v3.5M3.5 10H7M3.5 14H7M17 10h3.5M17 14h3.5"/></symbol>
        <symbol id="i-costs" viewBox="0 0 24 24"><circle cx="12" cy="12" r="8.5"/><path
          d="M15 9c-.6-1-1.6-1.5-3-1.5-1.7 0-2.8.8-2.8 2.1 0 3 6 1.5 6 4.6 0 1.4-1.2 2.3-3.2 2.3-1.5 0-2.7-.6-3.3-1.7"/>
        <path d="M12 5.5v13"/></symbol>
        <symbol id="i-budgets" viewBox="0 0 24 24"><path
          d="M4.5 8h13a2 2 0 0 1 2 2v7.5a2 2 0 0 1-2 2h-12a2 2 0 0 1-2-2V6.5a2 2 0 0 1 2-2h10.5V8M15.5 13.7h.01"/>
        </symbol>
        <symbol id="i-bundles" viewBox="0 0 24 24"><path
          d="M12 3 4 7v10l8 4 8-4V7zM4 7l8 4 8-4M12 11v10"/></symbol>
        <symbol id="i-flags" viewBox="0 0 24 24"><path d="M5.5 20.5V4.5h12l-2.5 4 2.5 4h-12"/></symbol>
        <symbol id="i-overview" viewBox="0 0 24 24"><path d="M4 4v16h16M8 15l3.5-4 3 2.5L20 7"/></symbol>
        <symbol id="i-logs" viewBox="0 0 24 24"><path d="M4 6h16M4 10h10M4 14h16M4 18h7"/></symbol>
        <symbol id="i-alerts" viewBox="0 0 24 24"><path
          d="M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4"/></symbol>
        <symbol id="i-sessions" viewBox="0 0 24 24"><path
          d="M4 4h11v8H8l-4 3.5zM9 15.5v.5h7l4 3.5V9h-2"/></symbol>
        <symbol id="i-traces" viewBox="0 0 24 24"><path d="M4 5h9M7 10h10M10 15h4M12 20h8M4 5v15"/></symbol>
        <symbol id="i-oncall" viewBox="0 0 24 24"><path
          d="M5 4.5h3.5l1.8 4.6-2.4 1.6a11.5 11.5 0 0 0 5.4 5.4l1.6-2.4 4.6 1.8V19a1.5 1.5 0 0 1-1.5 1.5A14.5 14.5 0 0 1
            3.5 6 1.5 1.5 0 0 1 5 4.5zM15 4.5a5 5 0 0 1 4.5 4.5"/></symbol>
        <symbol id="i-incidents" viewBox="0 0 24 24"><path
          d="M12 4 2.8 19.5h18.4zM12 10v4.5M12 17h.01"/></symbol>
        <symbol id="i-secrets" viewBox="0 0 24 24"><rect x="4.5" y="10.5" width="15" height="10" rx="2"/><path
          d="M8 10.5V7.5a4 4 0 0 1 8 0v3M12 14.5v2.5"/></symbol>
        <symbol id="i-keys" viewBox="0 0 24 24"><circle cx="8" cy="15" r="4.5"/><path
          d="m11.5 11.5 8-8M16 7l3 3M13.5 9.5l2 2"/></symbol>
        <symbol id="i-search" viewBox="0 0 24 24"><circle cx="11" cy="11" r="6.5"/><path d="m16 16 4.5 4.5"/></symbol>
        <symbol id="i-theme" viewBox="0 0 24 24"><circle cx="12" cy="12" r="8.5"/><path d="M12 3.5a8.5 8.5 0 0 1 0 17z"
          fill="currentColor"/></symbol>
        <symbol id="i-help" viewBox="0 0 24 24"><rect x="2.5" y="6" width="19" height="12" rx="2"/><path
          d="M6.5 10h.01M10 10h.01M14 10h.01M17.5 10h.01M7 14h10"/></symbol>
        <symbol id="i-person" viewBox="0 0 24 24"><circle cx="12" cy="8" r="4"/><path
          d="M4.5 20.5c1-4 4-5.5 7.5-5.5s6.5 1.5 7.5 5.5"/></symbol>
        <symbol id="i-more" viewBox="0 0 24 24"><path d="M5 12h.01M12 12h.01M19 12h.01" stroke-width="3"/></symbol>
        </svg>
        """#)
}
