"""Scraping: Nissa asks targets for their metrics, as Prometheus' ``scrape_configs`` say."""
