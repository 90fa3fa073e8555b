-- Lines of invoices of vendors, as they were imported. A line is known by its invoice and its number.

CREATE TABLE IF NOT EXISTS fact.invoices (
    invoice VARCHAR NOT NULL,
    line BIGINT NOT NULL,
    service VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    period_start TIMESTAMP NOT NULL,
    period_end TIMESTAMP NOT NULL,
    amount DECIMAL(38,12) NOT NULL,
    currency VARCHAR NOT NULL,
    imported TIMESTAMP NOT NULL
);

CREATE OR REPLACE VIEW main.invoices AS
SELECT invoice, line, service, name, category, period_start, period_end, amount, currency, imported
FROM fact.invoices;
